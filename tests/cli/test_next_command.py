"""What a user is told to do next: after an error, and after a command that went well."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support import fidelity, tiny_wan
from tests.support.assets import spoil_video, write_lists, write_video
from videoprep.families import wan
from videoprep.spec.caption_journal import FOLDER, Decision
from videoprep.spec.dataset import DatasetSpec
from videoprep.store.layout import Store

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def place(tmp_path: Path, dataset: Path, demo_store: Path, tiny_model: Path) -> Path:
    """What the command lines below speak of."""
    (tmp_path / "latents").symlink_to(demo_store)
    (tmp_path / "model").symlink_to(tiny_model)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/pytorch_lora_weights.safetensors").touch()
    shutil.copy(demo_store / "index.parquet", tmp_path / "index.parquet")
    (tmp_path / "bare").mkdir()
    write_video(tmp_path / "bare/one.mp4")
    assert dataset.name == "dataset"
    return tmp_path


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("valdate dataset", "did you mean `videoprep validate`?"),
        ("validate dataset --captoin-column x", "did you mean --caption-column?"),
        ("index dataset --caption_colum x", "did you mean --caption-column?"),
        ("validate dataset --reshape crop", "did you mean center-crop?"),
        ("validate dataset --profile cogvid", "did you mean 'cogvideox'?"),
        ("encode dataset -o new --model model --dtype float16", "did you mean fp16?"),
        ("validate dataset and another", "put a name with spaces into quotes"),
        ("rules VP1011", "did you mean VP111?"),
        ("export latents --to musub -o out", "did you mean 'musubi'?"),
        ("encode dataset", "for instance: videoprep encode dataset/ -o latents --model THUDM/"),
        ("split dataset/videos", "for instance: videoprep split films/ -o dataset"),
        ("review dataset --apply prompts.json", "name the file that a page of `videoprep review"),
        ("review dataset --apply dataset/prompt.tx", "did you mean dataset/prompt.txt?"),
        ("review dataset --apply dataset/prompt.txt", "exported, decisions.json"),
        ("validate datset", "did you mean dataset?"),
        ("index dataset/prompt.tx", "did you mean dataset/prompt.txt?"),
        ("init datset", "did you mean dataset?"),
        ("verify latent", "did you mean latents?"),
        ("encode indx.parquet -o new --model model", "did you mean index.parquet?"),
        ("encode dataset -o new --model ./modl", "did you mean model?"),
        ("verify dataset", "this is a dataset; encode it: videoprep encode dataset -o latents"),
        ("verify index.parquet", "this is a plan; encode it: videoprep encode index.parquet"),
        ("train dataset --model model -o out", "this is a dataset; encode it: videoprep encode"),
        ("train lora --model model -o out", "this is what training wrote: name the store"),
        ("export model --to musubi -o out", "this is a model: give it as --model model"),
        ("encode latents -o new --model model --reshape pad", "which --reshape cannot change"),
        ("validate latents", "videoprep train latents --model MODEL -o lora"),
        ("validate index.parquet", "videoprep encode index.parquet -o latents --model MODEL"),
        ("validate dataset/prompt.txt", "give the folder that it lies in: dataset"),
    ],
)
def test_an_error_says_what_was_meant(line: str, told: str, place: Path, run_cli: Run) -> None:
    done = run_cli(*shlex.split(line), cwd=place)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_cannot_be_had(place: Path, cold_cli: Run) -> None:
    line = ["encode", "dataset", "-o", "new", "--model", "THUDM/CogVideoX-2"]
    done = cold_cli(*line, cwd=place, HF_HUB_OFFLINE="1", HF_HOME=str(place / "hub"))
    assert done.returncode == 2
    assert "check the name and the network" in done.stderr
    assert "`hf download THUDM/CogVideoX-2 --local-dir DIR` and give --model DIR" in done.stderr


def test_from_a_folder_to_weights_by_what_is_told(place: Path, run_cli: Run) -> None:
    """Each command is the one that the last one named; only MODEL has to be filled in."""
    clips = place / "my clips"
    clips.mkdir()
    for name, height in (("a", 64), ("b", 56)):
        write_video(clips / f"{name}.mp4", height=height)
        (clips / f"{name}.txt").write_text(f"clip {name}")
    line = ["validate", str(clips)]
    ran = []
    while line:
        done = run_cli(*line, cwd=place)
        ran.append(line[0])
        assert done.returncode in (0, 1), done.stderr
        told = [text for text in done.stdout.splitlines() if text.startswith("next: videoprep ")]
        line = shlex.split(told[-1].removeprefix("next: videoprep ")) if told else []
        line = [word.replace("MODEL", "model").replace("latents", "mine") for word in line]
        if line and line[0] == "train":
            break
    assert ran == ["validate", "validate", "index", "encode"]
    assert line == ["train", "mine", "--model", "model", "-o", "lora-2"]


def test_a_dataset_that_fails_otherwise(place: Path, run_cli: Run) -> None:
    write_lists(place / "dataset", ["a"] * 2, ["videos/a.mp4", "gone.mp4"])
    done = run_cli("validate", "dataset", "--id-token", "sks dog", cwd=place)
    assert "next: videoprep validate dataset --id-token 'sks dog' --fix --diff" in done.stdout


def test_a_folder_inside_a_dataset(place: Path, run_cli: Run) -> None:
    done = run_cli("validate", "dataset/videos", cwd=place)
    assert done.returncode == 1
    assert "did you mean dataset, the folder above?" in done.stdout


def test_what_is_done_next_with_a_store(place: Path, run_cli: Run) -> None:
    done = run_cli("verify", "latents", cwd=place)
    made_by = Store.open(place / "latents").read_info().model
    assert f"next: videoprep train latents --model {made_by} -o lora-2\n" in done.stdout
    done = run_cli("status", "latents", "dataset", cwd=place)
    assert done.returncode == 1
    assert f"next: videoprep encode dataset -o latents --model {made_by}" in done.stdout


def test_an_export_goes_to_a_folder_that_takes_it(tmp_path: Path, run_cli: Run) -> None:
    """One that holds something else is not named."""
    fidelity.encode_store(tmp_path, tiny_wan.build_wan(tmp_path / "model"), wan.FAMILY)
    for _ in range(2):  # the second time it goes on
        line = next_of(run_cli("verify", "store", cwd=tmp_path))
        assert line == ["export", "store", "--to", "fastvideo", "-o", "for-fastvideo"]
        done = run_cli(*line, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "for-fastvideo")
    (tmp_path / "for-fastvideo").mkdir()
    (tmp_path / "for-fastvideo/mine.txt").touch()
    line = next_of(run_cli("verify", "store", cwd=tmp_path))
    assert line[-1] == "for-fastvideo-2"
    assert run_cli(*line, cwd=tmp_path).returncode == 0


def next_of(done: CompletedProcess[str]) -> list[str]:
    told = [text for text in done.stdout.splitlines() if text.startswith("next: videoprep ")]
    return shlex.split(told[-1].removeprefix("next: videoprep "))


@pytest.mark.parametrize("source", ["index.parquet", "mine"])
def test_samples_left_out_of_a_finished_plan(place: Path, run_cli: Run, source: str) -> None:
    """The dataset that was planned is validated, with the options that it was planned with."""
    write_video(place / "dataset/videos/odd.mp4", width=90)
    with (
        (place / "dataset/prompt.txt").open("a") as prompts,
        (place / "dataset/videos.txt").open("a") as videos,
    ):
        prompts.write("odd\n")
        videos.write("videos/odd.mp4\n")
    assert run_cli("index", "dataset", "--clip-mode", "middle", cwd=place).returncode == 1
    encode = ["-o", "mine", "--model", "model"]
    done = run_cli("encode", "index.parquet", *encode, cwd=place)
    if source == "mine":
        done = run_cli("encode", "mine", *encode, cwd=place)
    line = next_of(done)
    assert line[0] == "validate"
    assert Path(line[1]).name == "dataset"
    assert line[-4:] == ["--clip-mode", "middle", "--model", "model"]
    assert run_cli(*line, cwd=place).returncode == 1


def test_the_columns_of_a_finished_plan_are_named_again(place: Path, run_cli: Run) -> None:
    """A table that is read only with options would else be another dataset, or none."""
    folder = place / "table"
    write_video(folder / "a.mp4")
    write_video(folder / "b.mp4", width=90)
    (folder / "list.csv").write_text("film,words,caption\na.mp4,one,x\nb.mp4,two,y\n")
    named = ["--caption-column", "words", "--video-column", "film"]
    assert run_cli("index", "table", *named, cwd=place).returncode == 1
    done = run_cli("encode", "index.parquet", "-o", "mine", "--model", "model", cwd=place)
    line = next_of(done)
    assert line[:6] == ["validate", str(folder), *named]
    done = run_cli(*line, cwd=place)
    assert done.returncode == 1
    assert "VP101" in done.stdout
    assert "2 samples" in done.stdout


def test_what_is_left_of_the_stores_own_plan(place: Path, run_cli: Run) -> None:
    """The command of `status` finishes the store as it is."""
    spoil_video(place / "dataset/videos/b.mp4")
    options = ["--reshape", "center-crop", "--clip-mode", "middle"]
    run_cli("encode", "dataset", "-o", "mine", "--model", "model", *options, cwd=place)
    done = run_cli("status", "mine", cwd=place)
    line = next_of(done)
    assert line[0] == "encode"
    assert set(options) <= set(line)
    assert line[-1] == "--retry-failed"
    again = run_cli(*line, cwd=place)
    assert again.returncode == 1, again.stderr
    assert "failed" in again.stdout


def test_a_repair_names_its_store(place: Path, run_cli: Run, tmp_path: Path) -> None:
    shutil.copytree(place / "latents", tmp_path / "mine")
    (tmp_path / "mine/catalogue.parquet").write_bytes(b"PAR1")
    for command in ("status", "verify"):
        done = run_cli(command, "mine", cwd=place)
        assert "videoprep verify mine --repair" in done.stdout
        assert "STORE" not in done.stdout


def test_commands_for_lists_have_their_folder(place: Path, run_cli: Run) -> None:
    folder = place / "my table"
    write_video(folder / "a.mp4")
    (folder / "metadata.csv").write_text('video;caption\na.mp4;"one, two"\n')
    done = run_cli("init", "my table", cwd=place)
    command = done.stderr[done.stderr.index("sed -i") :].splitlines()[0]
    subprocess.run(["bash", "-c", command], cwd=place, check=True)
    assert run_cli("validate", "my table", cwd=place).returncode == 0


def test_init_says_which_command_takes_an_option(place: Path, run_cli: Run) -> None:
    done = run_cli("init", "bare", cwd=place)
    told = " ".join(done.stderr.split())
    assert "set --caption-fallback with `videoprep validate`, `index` or `encode`" in told
    assert "the folder above" not in told, "it holds no list that names this one"


def test_machines_are_told_nothing(place: Path, run_cli: Run) -> None:
    done = run_cli("validate", "dataset", "--output-format", "json", cwd=place)
    assert "next: " not in done.stdout + done.stderr


def test_a_fix_is_proposed_only_if_there_is_one(place: Path, run_cli: Run) -> None:
    """Captions in files of their own have no list that could be written anew."""
    folder = place / "sidecars"
    for name in "ab":
        write_video(folder / f"{name}.mp4")
    (folder / "a.txt").write_text("clip a")
    done = run_cli("validate", "sidecars", cwd=place)
    assert done.returncode == 1
    assert "--fix" not in done.stdout


def test_a_clip_that_was_dropped_leads_on(place: Path, run_cli: Run) -> None:
    """Who dropped a clip asked for that: all is done without it, and nothing leads back."""
    spec = DatasetSpec.from_path(place / "dataset", caption_journal=FOLDER)
    clip = spec.caption_states()[0].clip
    spec.journal.append("review", [Decision(clip, "drop")])
    done = run_cli("validate", "dataset", cwd=place)
    assert (done.returncode, next_of(done)[0]) == (0, "index")
    assert "1 dropped in a review" in done.stdout
    assert "unusable" not in done.stdout
    done = run_cli("index", "dataset", cwd=place)
    assert done.returncode == 0, done.stdout
    assert "0 skipped + 1 dropped in a review" in done.stdout
    encode = ("encode", "dataset", "-o", "mine", "--model", "model")
    for line in (encode, ("status", "mine")):
        done = run_cli(*line, cwd=place)
        assert done.returncode == 0, done.stdout + done.stderr
        assert next_of(done)[:2] == ["train", "mine"]
    done = run_cli(*encode, cwd=place)
    assert "0 of 3 samples skipped, 1 dropped in a review" in done.stdout
    assert (
        run_cli("report", "mine", "-o", "page.html", "--previews", "0", cwd=place).returncode == 0
    )


def test_a_dataset_with_its_captions_leads_to_validation(place: Path, run_cli: Run) -> None:
    spec = DatasetSpec.from_path(place / "dataset", caption_journal=FOLDER)
    clip = spec.caption_states()[0].clip
    spec.journal.append("review", [Decision(clip, "keep")])
    done = run_cli("status", "dataset", cwd=place)
    assert (done.returncode, next_of(done)) == (0, ["validate", "dataset"])


def test_the_model_is_passed_on(place: Path, run_cli: Run) -> None:
    """With it each command uses the same profile."""
    write_video(place / "dataset/videos/a.mp4", width=80)  # divisible by 16 alone
    strict = run_cli("validate", "dataset", cwd=place)
    assert strict.returncode == 1
    line = ["validate", "dataset", "--model", "model"]
    ran = []
    while line[0] != "train":
        done = run_cli(*line, cwd=place)
        assert done.returncode == 0, done.stdout + done.stderr
        ran.append(line[0])
        line = [word.replace("latents", "mine") for word in next_of(done)]
    assert ran == ["validate", "index", "encode"]


def test_the_model_is_passed_on_where_something_is_wrong(place: Path, run_cli: Run) -> None:
    write_video(place / "dataset/videos/a.mp4", width=90)
    for line in (("validate", "dataset"), ("encode", "dataset", "-o", "mine")):
        done = run_cli(*line, "--model", "model", cwd=place)
        assert done.returncode == 1, done.stderr
        told = next_of(done)
        assert told[:2] == ["validate", "dataset"]
        assert told[told.index("--model") + 1] == "model"


def test_what_only_a_person_can_mend_is_checked_again(place: Path, run_cli: Run) -> None:
    folder = place / "sidecars"
    write_video(folder / "a.mp4", width=96)
    (folder / "a.txt").write_text("clip a")
    (folder / "b.mp4").write_bytes(b"no video")
    (folder / "b.txt").write_text("clip b")
    done = run_cli("validate", "sidecars", "--reshape", "center-crop", cwd=place)
    assert done.returncode == 1
    assert "next: videoprep validate sidecars --reshape center-crop\n" in done.stdout


def test_a_dataset_without_a_journal_has_a_status(place: Path, run_cli: Run) -> None:
    """Who wrote its captions: it did itself."""
    done = run_cli("status", "dataset", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "by the dataset itself" in done.stdout
    assert "next: videoprep validate dataset\n" in done.stdout
