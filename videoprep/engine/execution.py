"""`ExecutionOptions`: where a task's units are done and when to give up, for every long command."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from typing_extensions import Self, TypedDict

from videoprep.engine.progress import OnProgress
from videoprep.engine.ray_executor import RayExecutor
from videoprep.engine.run import TaskPlan, TaskResult, run_task
from videoprep.engine.task import JobShare, TaskOptions
from videoprep.errors import VideoprepError
from videoprep.options import Cli, checked

ExecutorName = Literal["local", "ray"]


class ExecutionOptions(BaseModel):
    """The options of every command that runs a task."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    executor: ExecutorName = "local"
    """Where the work is done: `local` is this process, or the ranks that torchrun started; `ray` is
    a Ray cluster."""
    address: Annotated[str | None, Cli(example="auto")] = None
    """Address of the Ray cluster. Default: `RAY_ADDRESS`, or a cluster on this machine, which is
    started if none is running."""
    num_jobs: Annotated[int, Field(ge=1), Cli(also=("num_shards",))] = 1
    """Number of independent jobs that share the work."""
    job_id: Annotated[int, Field(ge=0), Cli(also=("shard_id",))] = 0
    """Number of this job, from 0."""
    retry_failed: bool = False
    """Try again what failed in earlier runs."""
    max_failures: Annotated[Annotated[int, Field(ge=0)] | None, Cli(example=10)] = None
    """Stop after more failures than this."""
    watchdog: Annotated[float, Field(ge=0)] = 1800.0
    """Abort if a step of the device or a commit takes longer than this, in seconds; 0 disables
    it."""

    @classmethod
    def of(cls, **options: Any) -> Self:
        """Check options; None stands for the default.

        Raises:
            VideoprepError: One is unknown or out of bounds.
        """
        given = {name: value for name, value in options.items() if value is not None}
        return checked(cls, given, VideoprepError)

    @field_validator("job_id")
    @classmethod
    def _is_one_of_the_jobs(cls, value: int, info: ValidationInfo) -> int:
        jobs = info.data.get("num_jobs", value + 1)  # absent if it is wrong itself
        if value >= jobs:
            raise ValueError(f"{value} is not below `num_jobs={jobs}`; the first is 0")
        return value


def execute(
    plan: TaskPlan,
    execution: ExecutionOptions,
    *,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> TaskResult | None:
    """Do a task's units as the options say; see `run_task`.

    Raises:
        VideoprepError: An address is given, and no cluster is asked for.
    """
    is_ray = execution.executor == "ray"
    if execution.address is not None and not is_ray:
        raise VideoprepError(
            "only a Ray cluster has an address", remedy="add `executor='ray'`", option="address"
        )
    options = TaskOptions(
        device=device,
        share=JobShare(execution.job_id, execution.num_jobs),
        max_failures=execution.max_failures,
        watchdog=execution.watchdog,
    )
    executor = RayExecutor(execution.address) if is_ray else None
    return run_task(plan, executor=executor, options=options, on_progress=on_progress)


class ExecutionKeywords(TypedDict, total=False):
    """The fields of `ExecutionOptions`, for editors and mypy. None stands for the default."""

    executor: ExecutorName | None
    address: str | None
    num_jobs: int | None
    job_id: int | None
    retry_failed: bool | None
    max_failures: int | None
    watchdog: float | None
