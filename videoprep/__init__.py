"""Turns videos and captions into verified, bucketed, encoded training data.

The names below are loaded when they are first used: ``import videoprep`` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoprep.captions.refine_run import RefineResult as RefineResult
    from videoprep.captions.refine_run import refine as refine
    from videoprep.captions.run import CaptionResult as CaptionResult
    from videoprep.captions.run import caption as caption
    from videoprep.dataset_report.run import DatasetReport as DatasetReport
    from videoprep.dataset_report.run import report as report
    from videoprep.encoding.repair import verify as verify
    from videoprep.encoding.result import EncodeResult as EncodeResult
    from videoprep.encoding.run import encode as encode
    from videoprep.encoding.status import Status as Status
    from videoprep.encoding.status import status as status
    from videoprep.errors import ListError as ListError
    from videoprep.errors import MediaError as MediaError
    from videoprep.errors import ModelError as ModelError
    from videoprep.errors import PlanError as PlanError
    from videoprep.errors import SpecError as SpecError
    from videoprep.errors import StoreError as StoreError
    from videoprep.errors import TrainError as TrainError
    from videoprep.errors import VideoprepError as VideoprepError
    from videoprep.exporters.media.run import MediaResult as MediaResult
    from videoprep.exporters.media.run import export_media as export_media
    from videoprep.exporters.run import ExportResult as ExportResult
    from videoprep.exporters.run import export as export
    from videoprep.families.model_from_files import model_from_files as model_from_files
    from videoprep.importers.run import ImportResult as ImportResult
    from videoprep.importers.run import import_precomputed as import_precomputed
    from videoprep.index.bucket import Bucket as Bucket
    from videoprep.index.caption_draws import ClipDraw as ClipDraw
    from videoprep.index.sampler import BucketBatchSampler as BucketBatchSampler
    from videoprep.index.table import BucketIndex as BucketIndex
    from videoprep.media.probe import MediaInfo as MediaInfo
    from videoprep.media.probe import probe as probe
    from videoprep.previewing.run import Preview as Preview
    from videoprep.previewing.run import preview as preview
    from videoprep.scenes.run import SplitResult as SplitResult
    from videoprep.scenes.run import split as split
    from videoprep.spec.dataset import DatasetSpec as DatasetSpec
    from videoprep.spec.dataset_group import DatasetGroup as DatasetGroup
    from videoprep.spec.sample import Sample as Sample
    from videoprep.store.collate import collate as collate
    from videoprep.store.dataset import LatentDataset as LatentDataset
    from videoprep.store.verify_report import VerifyReport as VerifyReport
    from videoprep.training.run import train as train
    from videoprep.validators.engine import validate as validate
    from videoprep.validators.overview import Overview as Overview
    from videoprep.validators.protocol import DatasetValidator as DatasetValidator
    from videoprep.validators.protocol import Finding as Finding
    from videoprep.validators.protocol import Need as Need
    from videoprep.validators.protocol import RuleOptions as RuleOptions
    from videoprep.validators.protocol import Severity as Severity
    from videoprep.validators.protocol import Subject as Subject
    from videoprep.validators.protocol import Validator as Validator
    from videoprep.validators.registry import validator as validator
    from videoprep.validators.report import Report as Report
    from videoprep.workers.pool import Limits as Limits

__version__ = "0.1.0"

_HOMES = {
    "videoprep.captions.refine_run": ("RefineResult", "refine"),
    "videoprep.captions.run": ("CaptionResult", "caption"),
    "videoprep.dataset_report.run": ("DatasetReport", "report"),
    "videoprep.encoding.repair": ("verify",),
    "videoprep.encoding.result": ("EncodeResult",),
    "videoprep.encoding.run": ("encode",),
    "videoprep.encoding.status": ("Status", "status"),
    "videoprep.errors": (
        "ListError",
        "MediaError",
        "ModelError",
        "PlanError",
        "SpecError",
        "StoreError",
        "TrainError",
        "VideoprepError",
    ),
    "videoprep.exporters.media.run": ("MediaResult", "export_media"),
    "videoprep.exporters.run": ("ExportResult", "export"),
    "videoprep.families.model_from_files": ("model_from_files",),
    "videoprep.importers.run": ("ImportResult", "import_precomputed"),
    "videoprep.index.bucket": ("Bucket",),
    "videoprep.index.caption_draws": ("ClipDraw",),
    "videoprep.index.sampler": ("BucketBatchSampler",),
    "videoprep.index.table": ("BucketIndex",),
    "videoprep.media.probe": ("MediaInfo", "probe"),
    "videoprep.workers.pool": ("Limits",),
    "videoprep.previewing.run": ("Preview", "preview"),
    "videoprep.scenes.run": ("SplitResult", "split"),
    "videoprep.spec.dataset": ("DatasetSpec",),
    "videoprep.spec.dataset_group": ("DatasetGroup",),
    "videoprep.spec.sample": ("Sample",),
    "videoprep.store.collate": ("collate",),
    "videoprep.store.dataset": ("LatentDataset",),
    "videoprep.store.verify_report": ("VerifyReport",),
    "videoprep.training.run": ("train",),
    "videoprep.validators.registry": ("validator",),
    "videoprep.validators.engine": ("validate",),
    "videoprep.validators.overview": ("Overview",),
    "videoprep.validators.protocol": (
        "DatasetValidator",
        "Finding",
        "Need",
        "RuleOptions",
        "Severity",
        "Subject",
        "Validator",
    ),
    "videoprep.validators.report": ("Report",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'videoprep' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
