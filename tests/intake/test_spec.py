from __future__ import annotations

import pytest
from pydantic import ValidationError

from bench.errors import UnknownNameError, UsageError
from bench.intake import SubmissionSpec, builtin_specs, example_spec, load_spec


def test_the_built_in_spec():
    spec = load_spec("mnist-10k")
    assert (spec.count, spec.width_px, spec.height_px) == (10_000, 28, 28)
    assert (spec.mode, spec.formats) == ("grey", ("png",))
    assert "mnist-10k" in builtin_specs()
    with pytest.raises(ValidationError):
        spec.count = 5


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'mnist-10k'.*Valid: mnist-10k"):
        load_spec("mnist-1k")


def test_a_spec_from_a_file(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\ncount = 5\nmode = "rgb"\nformats = ["png", "bmp"]\n')
    spec = load_spec(str(path))
    assert (spec.name, spec.count, spec.width_px, spec.mode) == ("own", 5, None, "rgb")
    assert spec.formats == ("png", "bmp")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('name = "a"\nheight = 28\n', r"own\.toml: height: Extra inputs.*Valid keys: name"),
        ('name = "a"\ncount = 0\n', "own.toml: count:"),
        ('name = "a"\nmode = "cmyk"\n', "own.toml: mode:"),
        ('name = "a"\nformats = []\n', "own.toml: formats:"),
        ('name = "a"\nformats = ["exe"]\n', r"own.toml: formats\.0:"),
        ("count = 3\n", "own.toml: name: Field required"),
        ("count = = 3\n", r"own\.toml is not valid TOML"),
    ],
)
def test_bad_specs_name_file_and_key(tmp_path, text, match):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=match):
        load_spec(str(path))


def test_bytes_that_are_not_utf8(tmp_path):
    (tmp_path / "own.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match="not valid TOML"):
        load_spec(str(tmp_path / "own.toml"))


def test_missing_spec_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_spec(str(tmp_path / "none.toml"))


def test_the_example_is_a_spec_with_the_defaults(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(example_spec())
    assert load_spec(str(path)) == SubmissionSpec(name="my-course")


def test_the_example_without_its_comment_signs_is_a_spec_too(tmp_path):
    lines = example_spec().splitlines()
    keys = [line.removeprefix("# ").partition(" = ")[0] for line in lines if " = " in line]
    assert keys == list(SubmissionSpec.model_fields)
    path = tmp_path / "example.toml"
    path.write_text("\n".join(line.removeprefix("# ") for line in lines if " = " in line))
    spec = load_spec(str(path))
    assert (spec.count, spec.width_px, spec.height_px) == (10_000, 28, 28)


def test_the_example_explains_every_key_and_lists_every_choice():
    text = example_spec()
    for name, field in SubmissionSpec.model_fields.items():
        assert field.description, name
    choices = SubmissionSpec.model_json_schema()["properties"]
    for choice in choices["mode"]["enum"] + choices["formats"]["items"]["enum"]:
        assert f'"{choice}"' in text, choice
