"""HTML from the templates beside this file: everything escaped, everything named given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2


def rendered(template: str, **values: Any) -> str:
    """Text of a template.

    Args:
        template: file name in this folder.
        values: what it names; one that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
