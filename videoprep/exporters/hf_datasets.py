"""Hugging Face `datasets`: Parquet files whose metadata tells it the shapes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import yaml

from videoprep.exporters.contract import Exported, ListedClip, Origin, ShardExporter
from videoprep.exporters.conversion import as_asked
from videoprep.exporters.folder import Folder
from videoprep.exporters.tensor_files import write_tables
from videoprep.families.caption_places import FURTHER_CAPTIONS
from videoprep.fs.atomic import Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Its names of types are those of Arrow, but of float64.
_COLUMNS = {
    **dict.fromkeys(("name", "caption", "video", "split"), pa.string()),
    **dict.fromkeys(("frames", "height", "width", "repeats"), pa.int32()),
    **dict.fromkeys(("fps", "weight"), pa.float64()),
}

_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64"}

_CARD = "README.md"
_FURTHER = "further_"


class HFDatasets(ShardExporter):
    """A configuration a bucket, so that all tensors of a column have one shape.

    Clips that do without a component, such as latents of sound, have a configuration of their own.
    If clips have several captions, ``further_captions`` lists those after the first, and
    ``further_prompt_embeds`` what was made from each.
    """

    name = "hf-datasets"
    captions = "all"
    apart = True
    suffix = "parquet"
    also = None
    posteriors = ("moments", "sample", "mean")
    loses = "bfloat16, which Arrow has not: it becomes float32 of the same values"

    def shard(self, clips: Iterator[Exported], origin: Origin) -> Writer:
        def write(file: BinaryIO) -> None:
            first = next(clips)
            schema = _schema(first, origin)
            rows = (_table(clip, origin, schema) for clip in chain([first], clips))
            write_tables(file, schema, rows)

        return write

    def finish(self, clips: Iterable[ListedClip], folder: Folder, origin: Origin) -> None:
        configs = [
            {"config_name": group, "data_files": f"{group}/*.{self.suffix}"}
            for group in origin.groups
        ]
        card = yaml.safe_dump({"configs": configs}, sort_keys=False)
        folder.write_text(_CARD, f"---\n{card}---\n\n{_about(origin)}\n")

    def command(self, folder: str, origin: Origin) -> str:
        loading = f"load_dataset({folder!r}, {origin.largest_group!r}, split='train')"
        code = f"from datasets import load_dataset; print({loading}.with_format('torch')[0])"
        return shlex.join(["python", "-c", code])


def _about(origin: Origin) -> str:
    facts = json.dumps({**origin.info.facts, "posterior": origin.posterior}, indent=2)
    return (
        f"Latents and text embeddings of {origin.info.family}, model `{origin.info.model}`, a "
        f"configuration a bucket (frames × height × width).\n\n```json\n{facts}\n```"
    )


def _arrays(clip: Exported, origin: Origin) -> Mapping[str, NDArray[Any]]:
    import torch

    tensors = {component: as_asked(clip, origin, component) for component in clip.tensors}
    return {
        name: (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        for name, tensor in tensors.items()
    }


def _schema(clip: Exported, origin: Origin) -> pa.Schema:
    """Arrow's types, and in the metadata those of `datasets`."""
    fields = list(_COLUMNS.items())
    features = {
        name: {"dtype": str(kind).replace("double", "float64"), "_type": "Value"}
        for name, kind in fields
    }
    for name, array in _arrays(clip, origin).items():
        fields.append((name, _kind_of(array)))
        features[name] = _feature(array, varying=name.endswith("_embeds"))
    for name, kind in _kinds_of_further(clip, origin).items():
        fields.append((name, kind))
        features[name] = _list_feature(kind)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(fields, metadata)


def _feature(array: NDArray[Any], *, varying: bool) -> dict[str, Any]:
    """How `datasets` describes an array; captions have as many rows as tokens."""
    if array.ndim == 1:
        return {"feature": {"dtype": str(array.dtype), "_type": "Value"}, "_type": "List"}
    shape = [None if varying else array.shape[0], *array.shape[1:]]
    return {"shape": shape, "dtype": str(array.dtype), "_type": f"Array{array.ndim}D"}


def _table(clip: Exported, origin: Origin, schema: pa.Schema) -> pa.Table:
    values = {**clip.metadata, "name": clip.listed.stem}
    columns = [pa.array([values[name]], kind) for name, kind in _COLUMNS.items()]
    columns += [_nested(array) for array in _arrays(clip, origin).values()]
    if FURTHER_CAPTIONS in schema.names:
        texts = [one.caption for one in clip.further]
        columns.append(pa.array([texts], pa.list_(pa.string())))
        made = [_arrays(replace(clip, tensors=one.tensors), origin) for one in clip.further]
        for field in schema:
            name = field.name.removeprefix(_FURTHER)
            if field.name.startswith(_FURTHER) and field.name != FURTHER_CAPTIONS:
                own = [_nested(arrays[name]) for arrays in made]
                values = pa.concat_arrays(own) if own else pa.array([], field.type.value_type)
                columns.append(
                    pa.ListArray.from_arrays(pa.array([0, len(own)], pa.int32()), values)
                )
    return pa.Table.from_arrays(columns, schema=schema)


def _kinds_of_further(clip: Exported, origin: Origin) -> Mapping[str, pa.DataType]:
    """The columns of captions after the first; none in a store whose clips have one each."""
    if FURTHER_CAPTIONS not in clip.metadata:
        return {}
    kinds = {FURTHER_CAPTIONS: pa.list_(pa.string())}
    recipes = origin.info.recipes
    for name, array in _arrays(clip, origin).items():
        if recipes[name].source.caption:
            kinds[f"{_FURTHER}{name}"] = pa.list_(_kind_of(array))
    return kinds


def _kind_of(array: NDArray[Any]) -> pa.DataType:
    kind = pa.from_numpy_dtype(array.dtype)
    for _ in array.shape:
        kind = pa.list_(kind)
    return kind


def _list_feature(kind: pa.DataType) -> dict[str, Any]:
    """How `datasets` describes lists of lists … of values."""
    if not pa.types.is_list(kind):
        return {"dtype": _NAMES.get(str(kind), str(kind)), "_type": "Value"}
    return {"feature": _list_feature(kind.value_type), "_type": "List"}


def _nested(array: NDArray[Any]) -> pa.Array:
    """One list of lists … of numbers, without a Python object a number."""
    nested = pa.array(np.ascontiguousarray(array).ravel())
    for length, size in zip(array.shape[::-1], _sizes(array.shape)[::-1], strict=True):
        offsets = np.arange(size + 1, dtype=np.int32) * length
        nested = pa.ListArray.from_arrays(pa.array(offsets), nested)
    return nested


def _sizes(shape: tuple[int, ...]) -> list[int]:
    """How many lists there are at each depth."""
    return [int(np.prod(shape[:depth], dtype=np.int64)) for depth in range(len(shape))]


EXPORTER = HFDatasets()
