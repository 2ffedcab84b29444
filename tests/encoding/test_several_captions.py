"""Clips with several captions: each is encoded once, stored, drawn and exported."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import videoprep as vp
from tests.support.assets import write_video
from videoprep.encoding.online import OnlineClips
from videoprep.errors import PlanError, TrainError
from videoprep.families.registry import families
from videoprep.index.sampler import BucketBatchSampler
from videoprep.spec.caption_journal import Answer, Decision, Run
from videoprep.spec.current_captions import own_hash

CAPTIONS = (
    ("a grey clip", "a clip of grey", "grey"),
    ("another one",),
    ("a grey clip", "the third, again"),
)
DISTINCT = len({text for texts in CAPTIONS for text in texts})


def write(folder: Path, captions: Sequence[Sequence[str]]) -> Path:
    """A dataset of as many videos as there are lists of captions."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number, texts in enumerate(captions):
        path = folder / f"{number}.mp4"
        if not path.exists():
            width, height = (96, 64) if number < 2 else (64, 96)
            write_video(path, width=width, height=height, frames=5, lift=50 - 10 * number)
        rows.append(json.dumps({"video": path.name, "caption": list(texts)}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def encode(dataset: Path | vp.BucketIndex, model: Path, store: Path, **options: object) -> None:
    done = vp.encode(dataset, model=model, output=store, progress="none", **options)
    assert done is not None
    assert done.ok


def embed(model: Path, caption: str) -> torch.Tensor:
    """What the family's own text encoder makes of a caption."""
    from videoprep.families.model_folder import open_model

    opened = open_model(str(model), (), None)
    text = families()["cogvideox"].load_text_encoder(
        opened, "text_encoder", torch.device("cpu"), torch.float32, eight_bit=False
    )
    return text.encode([caption])[0]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("several") / "dataset", CAPTIONS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, dataset: Path, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("several") / "store"
    encode(dataset, tiny_model, folder, id_token="TOK")
    return folder


def test_each_caption_is_encoded_once(store: Path) -> None:
    data = vp.LatentDataset(store)
    assert data.caption_counts is not None
    assert data.caption_counts.tolist() == [3, 1, 2]
    stored = pq.read_table(store / "catalogue.parquet")
    keys = {*stored["prompt_embeds_key"].to_pylist()}
    for places in stored["prompt_embeds_further"].to_pylist():
        keys |= {place["key"] for place in places or ()}
    assert len(keys) == DISTINCT
    told = vp.status(store)
    assert told.components["prompt_embeds"].planned == DISTINCT
    assert told.components["prompt_embeds"].done == DISTINCT
    assert told.catalogue == "current"
    assert vp.verify(store).ok


def test_the_tensors_are_those_of_the_caption(store: Path, tiny_model: Path) -> None:
    data = vp.LatentDataset(store, verify=True)
    for number, texts in enumerate(CAPTIONS):
        for caption, text in enumerate(texts):
            item = data[vp.ClipDraw(number, caption)]
            assert item["caption"] == f"TOK {text}"
            assert item["caption_number"] == caption
            assert torch.equal(item["prompt_embeds"], embed(tiny_model, f"TOK {text}"))
            assert torch.equal(item["video_latents"], data[number]["video_latents"])
        with pytest.raises(IndexError, match=f"caption {len(texts)} of {len(texts)}"):
            data[vp.ClipDraw(number, len(texts))]


def test_a_plain_number_is_the_first_caption(store: Path) -> None:
    data = vp.LatentDataset(store)
    assert [item["caption"] for item in data] == [f"TOK {texts[0]}" for texts in CAPTIONS]


def test_only_the_missing_ones_are_encoded(
    dataset: Path, tiny_model: Path, tmp_path: Path, store: Path
) -> None:
    earlier = write(tmp_path / "dataset", [texts[:1] for texts in CAPTIONS])
    encode(earlier, tiny_model, tmp_path / "store", id_token="TOK")
    assert "prompt_embeds_further" not in pq.read_schema(tmp_path / "store/catalogue.parquet").names
    before = {path.name for path in (tmp_path / "store").rglob("*.safetensors")}
    write(earlier, CAPTIONS)
    told = vp.status(tmp_path / "store", earlier, id_token="TOK")
    assert told.components["prompt_embeds"].to_do == DISTINCT - 2
    assert told.components["prompt_embeds"].why == {"caption": DISTINCT - 2}
    assert told.components["video_latents"].to_do == 0
    assert {one.what for one in vp.BucketIndex.build(earlier, id_token="TOK").diff(
        vp.BucketIndex.load(tmp_path / "store/index.parquet")
    ).changes} == {("caption",)}  # fmt: skip
    done = vp.encode(
        earlier, model=tiny_model, output=tmp_path / "store", id_token="TOK", progress="none"
    )
    assert done is not None
    assert done.components["prompt_embeds"].encoded == DISTINCT - 2
    assert done.components["video_latents"].encoded == 0
    assert done.complete == 3
    assert before < {path.name for path in (tmp_path / "store").rglob("*.safetensors")}
    ours, theirs = vp.LatentDataset(tmp_path / "store"), vp.LatentDataset(store)
    assert ours.digest == theirs.digest
    for draw in (vp.ClipDraw(0, 2), vp.ClipDraw(2, 1)):
        assert torch.equal(ours[draw]["prompt_embeds"], theirs[draw]["prompt_embeds"])


def test_a_lost_text_shard_is_repaired(store: Path, tmp_path: Path) -> None:
    mine = tmp_path / "store"
    shutil.copytree(store, mine)
    before = {p.relative_to(mine): p.read_bytes() for p in mine.rglob("*.safetensors")}
    lost = list(mine.glob("prompt_embeds/*/text-*.safetensors"))
    assert lost
    for path in lost:
        path.unlink()
    assert not vp.verify(mine).ok
    assert vp.verify(mine, repair=True, progress="none").ok
    assert {p.relative_to(mine): p.read_bytes() for p in mine.rglob("*.safetensors")} == before


def test_an_empty_caption_among_several_is_left_out_and_told(
    tmp_path: Path, tiny_model: Path
) -> None:
    texts = [f"caption number {n}" for n in range(20)]
    texts[7] = " "
    folder = write(tmp_path / "dataset", [texts, ["one"]])
    report = vp.validate(folder)
    told = [one for one in report.findings if "empty" in one.message]
    assert [(one.code, one.severity.value) for one in told] == [("VP209", "note")]
    assert "1 of its captions is empty, and is left out" in told[0].message
    assert report.ok
    encode(folder, tiny_model, tmp_path / "store")
    data = vp.LatentDataset(tmp_path / "store")
    assert data.caption_counts is not None
    assert data.caption_counts.tolist() == [19, 1]
    assert data[vp.ClipDraw(0, 7)]["caption"] == "caption number 8"


def test_batches_draw_captions_and_go_on(store: Path) -> None:
    data = vp.LatentDataset(store)
    sampler = BucketBatchSampler(data, 1, seed=3)
    seen = [[(int(i), i.caption) for i in batch] for _ in range(40) for batch in sampler]
    assert {draw for batch in seen for draw in batch} == {
        (number, caption) for number, texts in enumerate(CAPTIONS) for caption in range(len(texts))
    }
    again = BucketBatchSampler(data, 1, seed=3)
    loader = torch.utils.data.DataLoader(
        data, batch_sampler=again, num_workers=2, collate_fn=lambda items: items
    )
    texts = [[item["caption"] for item in batch] for _ in range(3) for batch in loader]
    assert texts == [[f"TOK {CAPTIONS[n][c]}" for n, c in batch] for batch in seen[: len(texts)]]


def test_exports_say_which_captions_they_take(store: Path, tmp_path: Path) -> None:
    one = vp.export(store, to="finetrainers", output=tmp_path / "one")
    assert any("2 of 3 clips have several captions: the first is written" in n for n in one.notes)
    every = vp.export(store, to="webdataset", output=tmp_path / "all")
    assert any("2 of 3 clips have several captions, and all are written" in n for n in every.notes)
    data, found = vp.LatentDataset(store), {}
    for path in sorted((tmp_path / "all").rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                assert member.name not in found
                found[member.name] = file.read()
    for number, texts in enumerate(CAPTIONS):
        (stem,) = {name.split(".")[0] for name in found if name.startswith(f"{number:08}_")}
        for caption, text in enumerate(texts[1:], start=1):
            assert found[f"{stem}.{caption}.txt"].decode() == f"TOK {text}"
            tensor = torch.load(io.BytesIO(found[f"{stem}.prompt_embeds.{caption}.pth"]))
            assert torch.equal(tensor, data[vp.ClipDraw(number, caption)]["prompt_embeds"])
        assert f"{stem}.{len(texts)}.txt" not in found


def test_hf_datasets_has_all_captions(store: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    vp.export(store, to="hf-datasets", output=tmp_path / "out")
    data = vp.LatentDataset(store)
    names = [bucket.plain for bucket in data.buckets]
    for name in dict.fromkeys(names):
        rows = datasets.load_dataset(
            str(tmp_path / "out"), name, split="train", cache_dir=str(tmp_path / "cache")
        )
        members = [number for number, of in enumerate(names) if of == name]
        for number, row in zip(members, rows, strict=True):
            texts = [f"TOK {text}" for text in CAPTIONS[number][1:]]
            assert row["further_captions"] == texts
            for caption, made in enumerate(row["further_prompt_embeds"], start=1):
                own = data[vp.ClipDraw(number, caption)]["prompt_embeds"]
                assert np.array_equal(np.array(made, np.float32), own.numpy())


def test_media_are_exported_with_all_captions(dataset: Path, tmp_path: Path) -> None:
    done = vp.export_media(dataset, output=tmp_path / "out")
    assert done is not None
    assert any("2 clips have several captions" in note for note in done.notes)
    (wide,) = (tmp_path / "out/clips").glob("*x64x96/captions.json")
    listed = json.loads(wide.read_text())
    assert list(listed.values()) == [list(CAPTIONS[0]), list(CAPTIONS[1])]
    for name in listed:
        assert (wide.parent / name).with_suffix(".txt").read_text() == listed[name][0]


def test_training_draws_them_and_goes_on(store: Path, tiny_model: Path, tmp_path: Path) -> None:
    def losses(out: Path, **options: Any) -> list[float]:
        vp.train(store, model=tiny_model, output=out, rank=2, device="cpu", **options)
        lines = (out / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    runs = {
        captions: losses(tmp_path / f"{captions}", steps=6, captions=captions, seed=1)
        for captions in ("first", "random", (0, 0, 1))
    }
    assert len(set(map(tuple, runs.values()))) == len(runs)
    part = tmp_path / "part"
    losses(part, steps=4, captions="random", seed=1)
    assert losses(part, steps=6, captions="random", seed=1, resume=True) == runs["random"]
    with pytest.raises(TrainError, match="captions"):
        losses(part, steps=7, captions="first", seed=1, resume=True)
    with pytest.raises(TrainError, match="weight above 0"):
        losses(part, captions=(0, 0))


def test_a_caption_that_fails_is_told_by_its_number(
    dataset: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """A clip is whole with all of its captions: what lacks one is no item, and is counted."""
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    tokenizer = AutoTokenizer.from_pretrained(str(model / "tokenizer"))
    others = {text for texts in CAPTIONS for text in texts} - {"the third, again"}
    known = {token for text in others for token in tokenizer(text).input_ids}
    only = set(tokenizer("the third, again").input_ids) - known
    weights = next((model / "text_encoder").glob("*.safetensors"))
    tensors = load_file(weights)
    for name, tensor in tensors.items():
        if name in ("shared.weight", "encoder.embed_tokens.weight"):
            tensor[list(only)] = torch.nan
    save_file(tensors, weights, metadata={"format": "pt"})
    done = vp.encode(dataset, model=model, output=tmp_path / "store", progress="none")
    assert done is not None
    assert (done.clips, done.complete, done.failed) == (3, 2, 1)
    (entry,) = done.set_aside
    assert (entry.video, entry.component, entry.caption) == ("2.mp4", "prompt_embeds", 1)
    line = json.loads((tmp_path / "store/failures.jsonl").read_text())
    assert (line["video"], line["caption"]) == ("2.mp4", 1)
    data = vp.LatentDataset(tmp_path / "store")
    assert (len(data), data.incomplete) == (2, 1)
    assert vp.verify(tmp_path / "store").ok
    told = vp.status(tmp_path / "store").components["prompt_embeds"]
    assert (told.planned, told.done, told.set_aside) == (DISTINCT, DISTINCT - 1, 1)
    (tmp_path / "store/failures.jsonl").write_text(json.dumps({**line, "caption": 0}) + "\n")
    assert not vp.verify(tmp_path / "store").ok


def test_clips_encoded_while_training_draw_the_same(
    dataset: Path, tiny_model: Path, store: Path
) -> None:
    index = vp.BucketIndex.build(dataset, id_token="TOK", profile="cogvideox")
    cpu = torch.device("cpu")
    with OnlineClips(
        index, str(tiny_model), revision=None, images=False, device=cpu, dtype=torch.float32
    ) as online:
        stored = vp.LatentDataset(store)
        assert online.digest == stored.digest
        draws = [vp.ClipDraw(0, 2), vp.ClipDraw(2, 1), vp.ClipDraw(1)]
        for draw, item in zip(draws, online.__getitems__(draws), strict=True):
            expected = stored[draw]
            assert item["caption"] == expected["caption"]
            assert item["caption_number"] == draw.caption
            assert torch.equal(item["prompt_embeds"], expected["prompt_embeds"])


def test_a_list_of_one_caption_is_a_plain_caption(dataset: Path, tmp_path: Path) -> None:
    """An index and a store without further captions are what they were before there were any."""
    one = write(tmp_path / "one", [texts[:1] for texts in CAPTIONS])
    plain = tmp_path / "plain"
    shutil.copytree(one, plain)
    rows = [json.loads(line) for line in (one / "metadata.jsonl").read_text().splitlines()]
    lines = [json.dumps({**row, "caption": row["caption"][0]}) for row in rows]
    (plain / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    tables = [vp.BucketIndex.build(folder).table.drop_columns(["file"]) for folder in (one, plain)]
    assert tables[0].equals(tables[1])
    assert not {"further_captions", "further_prompt_keys"} & set(tables[0].column_names)
    vp.BucketIndex.build(one).save(tmp_path / "plan.parquet")
    header = json.loads(pq.read_schema(tmp_path / "plan.parquet").metadata[b"videoprep.index"])
    assert header["version"] == 3
    vp.BucketIndex.build(dataset).save(tmp_path / "several.parquet")
    header = json.loads(pq.read_schema(tmp_path / "several.parquet").metadata[b"videoprep.index"])
    assert header["version"] == 5


def test_an_index_keeps_them(dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(dataset, id_token="TOK")
    index.save(tmp_path / "plan.parquet")
    loaded = vp.BucketIndex.load(tmp_path / "plan.parquet")
    assert loaded.table.equals(index.table)
    assert loaded.digest == index.digest
    assert [clip.captions for clip in loaded.clips()] == [
        tuple(f"TOK {text}" for text in texts) for texts in CAPTIONS
    ]
    assert index.caption_counts is not None
    parts = [index.filter(height=64), index.filter(height=96)]
    joined = vp.BucketIndex.concat(parts)
    assert joined.caption_counts is not None
    assert joined.caption_counts.tolist() == index.caption_counts.tolist()
    first = vp.BucketIndex.build(dataset).filter(video="1.mp4")
    assert first.caption_counts is None
    first.save(tmp_path / "one.parquet")  # no row of it has several
    assert "further_captions" not in pq.read_schema(tmp_path / "one.parquet").names


@pytest.mark.parametrize(
    ("captions", "keys", "message"),
    [
        ([["a"], None, None], [["k", "l"], None, None], "not as many as their keys"),
        ([["a"], None, None], [None, None, None], "not as many as their keys"),
        ([["a", None], None, None], [["k", "l"], None, None], "further_captions is null"),
        ([["a"], None, None], [[None], None, None], "further_prompt_keys is null"),
        ([["a"], None, None], None, "have no keys"),
    ],
)
def test_an_index_that_no_plan_can_be_is_refused(
    captions: Any, keys: Any, message: str, dataset: Path, tmp_path: Path
) -> None:
    vp.BucketIndex.build(dataset).save(tmp_path / "plan.parquet")
    table = pq.read_table(tmp_path / "plan.parquet")
    for name, values in (("further_captions", captions), ("further_prompt_keys", keys)):
        at, kind = table.schema.get_field_index(name), pa.list_(pa.string())
        if values is None:
            table = table.remove_column(at)
        else:
            table = table.set_column(at, pa.field(name, kind), pa.array(values, kind))
    pq.write_table(table, tmp_path / "plan.parquet")
    with pytest.raises(PlanError, match=message):
        vp.BucketIndex.load(tmp_path / "plan.parquet")


def test_a_caption_under_the_key_of_another_is_refused(dataset: Path, tmp_path: Path) -> None:
    index = vp.BucketIndex.build(dataset)
    at = index.table.schema.get_field_index("further_captions")
    texts = index.table["further_captions"].to_pylist()
    texts[0] = texts[0][::-1]
    column = pa.array(texts, pa.list_(pa.string()))
    table = index.table.set_column(at, index.table.schema.field(at), column)
    with pytest.raises(PlanError, match="was changed after it was made"):
        vp.BucketIndex(table, index.data_root, index.policy).check_sources()


def test_rules_look_at_each_caption(tmp_path: Path) -> None:
    folder = write(tmp_path / "dataset", [["fine words", "<b>bold</b> words"], ["fine, too"]])
    (found,) = [one for one in vp.validate(folder).findings if one.code == "VP207"]
    assert found.message.startswith("caption 2 of 2: ")
    assert found.data["caption"] == 2


def test_rules_that_look_at_the_video_look_at_each_caption(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    (folder / "a.txt").write_text("A dog.\nA dog runs along the beach.\nAnother dog.\n")
    found = vp.validate(folder, select=["VP217"]).findings
    assert [one.message for one in found] == [
        "caption 2 of 3: the caption says 'runs' of a still image"
    ]


def test_figures_are_of_all_captions(dataset: Path, tiny_model: Path) -> None:
    overview = vp.validate(dataset, model=str(tiny_model)).overview
    assert overview is not None
    assert len(overview.figures.words) == sum(map(len, CAPTIONS))
    assert len(overview.figures.tokens) == sum(map(len, CAPTIONS))


def test_a_second_caption_that_changes_beside_a_journal_is_encoded_alone(
    tmp_path: Path, tiny_model: Path
) -> None:
    folder, store = write(tmp_path / "dataset", CAPTIONS), tmp_path / "store"
    spec = vp.DatasetSpec.from_path(folder)
    edited, told, _ = (state.clip for state in spec.caption_states())
    run = Run("caption", "tiny", "hash", "Describe.")
    own = CAPTIONS[1]
    answer = Answer(told, run.id, "ok", "told", own=own_hash(own), own_captions=len(own))
    spec.journal.append("caption", [run, answer])
    spec.journal.append("review", [Decision(edited, "edit", "edited by hand")])
    encode(folder, tiny_model, store)
    assert [[*clip.captions] for clip in vp.BucketIndex.load(store / "index.parquet").clips()] == [
        ["edited by hand", *CAPTIONS[0][1:]], ["told"], [*CAPTIONS[2]],
    ]  # fmt: skip
    for captions, made in (
        # beside an edited one, and then beside that of a captioner, which gives way
        ([(CAPTIONS[0][0], "another clip of grey", "grey"), *CAPTIONS[1:]], 1),
        ([(CAPTIONS[0][0], "another clip of grey", "grey"), (*own, "added"), CAPTIONS[2]], 2),
    ):
        write(folder, captions)
        done = vp.encode(folder, model=tiny_model, output=store, progress="none")
        assert done is not None
        assert done.components["prompt_embeds"].encoded == made
        assert done.components["video_latents"].encoded == 0
    assert [[*clip.captions] for clip in vp.BucketIndex.load(store / "index.parquet").clips()] == [
        ["edited by hand", "another clip of grey", "grey"], [*own, "added"], [*CAPTIONS[2]],
    ]  # fmt: skip
