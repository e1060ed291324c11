"""A function added by one Python file and one YAML file in the configuration folder, and what a broken file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.offline_commands import Done, Home

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With the two files exactly as the README shows them."""
    home = Home(tmp_path)
    functions = tmp_path / "etc" / "functions"
    functions.mkdir(parents=True)
    (tmp_path / "etc" / "wakeline.toml").write_text('timezone = "Europe/Vienna"\n')
    for name, text in re.findall(
        r"```(?:python|yaml)\n# functions/(coffee\.\w+)\n(.*?)```", README.read_text(), re.DOTALL
    ):
        (functions / name).write_text(text)
    assert sorted(path.name for path in functions.iterdir()) == ["coffee.py", "coffee.yaml"]
    return home


def ask(home: Home, *texts: str) -> Done:
    return home.run("--config", "etc/wakeline.toml", "ask", *texts)


def test_the_two_files_of_the_readme_add_a_function(home: Home) -> None:
    end = ask(home, "make two cups of coffee", "make coffee", "a lot", "three", "what time is it")
    assert (end.status, end.err) == (0, "")
    assert end.said[0] == "Making 2 cups of coffee."
    assert end.said[1] == "How many?", "the missing argument is asked for"
    assert "ow many?" in end.said[2], "what is no number is asked for again"
    assert end.said[3] == "Making 3 cups of coffee."
    assert end.said[4].startswith("It's "), "and everything else is as before"


def test_a_sentence_that_names_nothing_the_function_gave_does_not_end_in_silence(home: Home) -> None:
    (home.folder / "etc/functions/coffee2.yaml").write_text('wording: {results: {makeCoffee: "{nothing}"}}')
    assert ask(home, "make two cups of coffee").said == ["Done."]


def test_sentences_for_a_function_that_is_not_there_are_noticed(home: Home) -> None:
    (home.folder / "etc/functions/tea.yaml").write_text('intents: {makeTee: {sentences: ["make tea"]}}')
    end = ask(home, "make tea")
    assert end.status == 0
    assert "functions/tea.yaml: makeTee is no function that can be asked for" in end.err


BROKEN = {
    "tea.py": [
        ("def f(:", "line 1: SyntaxError"),
        ("import nothing_there", "No module named 'nothing_there'"),
        ("from device.functions.registry import function\n\n\n@function()\ndef tea(cups):\n    'Tea.'", "cups"),
    ],
    "tea.yaml": [
        ("intents: [", "while parsing"),
        ("just words", "expected a mapping"),
        ("itents: {}", "unknown key 'itents'"),
        ('intents: {makeCoffee: {sentences: ["brew (it"]}}', "makeCoffee: Unable to find end of group"),
        ('intents: {makeCoffee: {sentences: ["brew {litres:cups}"]}}', "makeCoffee: there is no list {litres}"),
        ('intents: {makeCoffee: {sentences: ["brew <it>"]}}', "makeCoffee: there is no rule <it>"),
        ('intents: {makeCoffee: {sentences: [""]}}', "makeCoffee: expected a list of sentences"),
        ("wording: {results: {makeCoffee: [1]}}", "makeCoffee: expected a text"),
    ],
}
CODES = {"tea.py": "function-file-broken", "tea.yaml": "language-invalid"}


def test_a_broken_file_is_one_line_with_its_name_and_what_is_wrong(home: Home) -> None:
    cases = [(name, text, words) for name, texts in BROKEN.items() for text, words in texts]
    for number, (name, text, words) in enumerate(cases):
        folder = home.folder / f"etc{number}"
        (folder / "functions").mkdir(parents=True)
        (folder / "wakeline.toml").touch()
        for good in (home.folder / "etc/functions").iterdir():
            (folder / "functions" / good.name).write_text(good.read_text())
        (folder / "functions" / name).write_text(text)
        command = ("--config", f"etc{number}/wakeline.toml", "ask", "make coffee")
        end = home.run(*command) if number == 0 else home.here(*command)
        end.fault(CODES[name], f"functions/{name}: ", words)
