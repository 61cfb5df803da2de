"""data@D: build the splits of a data set."""

from __future__ import annotations

from ladd.files import write_json
from ladd.stages.runtime import Stage, run_stage
from ladd.tasks import task_of

VOCABULARY = "vocabulary.json"  # within the artefact of a data set


def main(stage: Stage) -> None:
    task = task_of(stage.suite, stage.key)
    with stage.output(task.folder) as folder:
        task.build(folder)
        # Trainings depend on this file and not on the settings of the data: ids that no text has change no shard.
        write_json(folder / VOCABULARY, {"vocabulary": task.settings.vocabulary})


if __name__ == "__main__":
    run_stage("data", main)
