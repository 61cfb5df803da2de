"""data@D: the data set, with its tokenizer where it has one."""

from __future__ import annotations

from ladd.stages.runtime import Stage, run_stage
from ladd.tasks import task_of


def main(stage: Stage) -> None:
    task = task_of(stage.suite, stage.key)
    with stage.output(task.folder) as folder:
        task.build(folder)


if __name__ == "__main__":
    run_stage("data", main)
