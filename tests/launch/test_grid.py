"""What a grid refuses, and what a form needs to know of its fields."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ladd.launch.grid import Grid


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": [1, 2, 1]}, r"lengths \[1, 2, 1\] has 1 twice"),
        ({"codebooks": [16, 16]}, "codebooks .* has 16 twice"),
        ({"schedules": ["joint", "joint"]}, "schedules .* has 'joint' twice"),
        ({"kinds": ["discrete", "discrete"]}, "kinds .* twice"),
        ({"token_steps": [4, 4]}, "token_steps .* twice"),
        ({"seeds": [0, 0]}, "seeds .* twice"),
        ({"lengths": []}, "lengths"),
        ({"kinds": []}, "kinds"),
        ({"schedules": []}, "schedules"),
        ({"codebooks": []}, "discrete latents need at least one K"),
        ({"lengths": [0]}, "greater than or equal to 1"),
        ({"codebooks": [1]}, "greater than or equal to 2"),
        ({"samples": 1}, "greater than or equal to 2"),
        ({"samples": 10**30}, "less than or equal to"),
        ({"seeds": [0, -1]}, "greater than or equal to 0"),
        ({"seeds": [2**63]}, "less than or equal to"),
        ({"stage1_steps": 10**30}, "less than or equal to"),
        ({"stage2_steps": 0}, "greater than or equal to 1"),
        ({"schedules": ["none"]}, "joint"),
        ({"name": "../elsewhere"}, "pattern"),
        ({"name": ""}, "pattern"),
        ({"length": [1]}, "Extra inputs"),
    ],
)
def test_wrong_grid_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Grid(**{"name": "study"} | changes)


def test_continuous_latents_need_no_codebooks():
    assert Grid(name="study", kinds=["continuous"], codebooks=[]).codebooks == []


def test_grid_cannot_change():
    with pytest.raises(ValidationError, match="frozen"):
        Grid(name="study").lengths = [3]


def test_form_has_a_title_and_a_description_for_every_field_and_the_bounds():
    schema = Grid.model_json_schema()
    fields = schema["properties"]
    assert fields.keys() == Grid.model_fields.keys()
    assert [name for name, field in fields.items() if not field.get("title") or not field.get("description")] == []
    assert schema["required"] == ["name"]
    assert fields["lengths"]["items"] == {"maximum": 4096, "minimum": 1, "type": "integer"}
    assert fields["schedules"]["items"]["enum"] == ["joint", "sequential"]
    assert fields["codebooks"]["items"]["minimum"] == 2
