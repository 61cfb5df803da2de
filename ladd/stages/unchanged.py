"""Whether all that a stage depends on still is what it was when the stage began.

DVC reads the plan and files after the command: it would record an edit that was made meanwhile as what ran.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ladd.config.messages import changes
from ladd.errors import ChangedError, LaddError
from ladd.stages.declaration import Declaration, read_declaration
from ladd.stages.plan import check_plan, started_by_dvc


@dataclass(frozen=True)
class Beginning:
    """What a stage began with.

    Attributes:
        declaration: with its entry in the plan.
        files: hashes of what it reads (see `Declaration.files`).
    """

    declaration: Declaration
    files: dict[str, str]

    @classmethod
    def of(cls, declaration: Declaration) -> Beginning:
        """What is there now.

        Raises:
            ArtifactError: a dependency is missing.
        """
        return cls(declaration, declaration.files())

    def check(self) -> None:
        """Compare with what is there now.

        Raises:
            ChangedError: something is different; with the names of all that is.
        """
        if lines := self._differences():
            raise ChangedError(
                "\n".join(
                    [
                        f"{self.declaration.name}: what it depends on was edited while it ran:",
                        *(f"  {line}" for line in lines),
                        "Nothing is recorded, and its outputs are removed. Put it back and run the stage again: it "
                        "goes on from what it has saved, and a training that was through ends at once. Or run it as "
                        "it is now: it begins anew.",
                    ]
                )
            )

    def check_code(self, since: float) -> None:
        """Whether code was edited between the start of the process and now, while it was imported.

        A time that has not come yet, as some archives give to files, says nothing.

        Raises:
            ChangedError: it was; with the names of the files.
        """
        edited = [path for path in self.declaration.code if since < Path(path).stat().st_mtime <= time.time()]
        if edited:
            raise ChangedError(f"{self.declaration.name}: edited while it started: {', '.join(edited)}; run it again")

    def _differences(self) -> list[str]:
        then = self.declaration
        name, _, key = then.name.partition("@")
        try:
            now = read_declaration(name, key or None)
            files = now.files()
            if started_by_dvc() and now.entry == then.entry:
                check_plan(then.name, then.entry)
        except (LaddError, OSError) as error:
            return [str(error)]
        lines = [f"command: {then.command} -> {now.command}"] if then.command != now.command else []
        old, new = ({**each.entry, "code": None} for each in (then, now))
        lines += [f"{place}: {before} -> {after}" for place, before, after in changes(old, new)]
        before, after = {**then.code, **self.files}, {**now.code, **files}
        return lines + [
            f"{path}: {'new' if path not in before else 'edited' if path in after else 'gone'}"
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        ]
