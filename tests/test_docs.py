"""The pages: links lead somewhere, commands are ones that the programs take, generated pages are fresh, both READMEs say the same."""

import re
import shlex
import subprocess
import sys
from functools import cache
from html import unescape

import pytest
import yaml

import infer
from options.command_line import parse_command_line
from options.schema import FOLDER, Config, load_config
from tests.helpers.places import ROOT, environment
from tests.helpers.tables import page
from utils import VERSION

SKIPPED = re.compile(r"(\.venv[^/]*|\.git|build|demo|workdir|data|log|node_modules|torture|fuzz)/")
PAGES = sorted(p for p in ROOT.rglob("*.md") if not SKIPPED.match(p.relative_to(ROOT).as_posix()))
COMMAND = re.compile(r"^(?:.*?\| |\$ )?((?:\.venv[\w-]*/bin/)?python (?:-m pytest|main\.py|infer\.py|\w+/\w+\.py).*)$")
IDS = [str(p.relative_to(ROOT)) for p in PAGES]


def code_blocks(text):
    """Lines of code of a page: fenced or indented, ends of lines that go on joined."""
    lines, fenced, before = [], False, ""
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or (line.startswith("    ") and (not before.strip() or before.startswith("    "))):
            lines.append(line.strip())
        before = line
    return "\n".join(lines).replace("\\\n", " ").split("\n")


def prose(text):
    """A page without its code."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "`code`", text)


def anchors(text):
    """Anchors that GitHub gives the headings of a page."""
    seen = {}
    for heading in re.findall(r"^#{1,6} +(.*?)\s*#*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        yield slug if count == 0 else f"{slug}-{count}"


def links(text):
    """Targets of a page's links and pictures, in Markdown or HTML."""
    text = prose(text)
    yield from re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", text)
    yield from re.findall(r"^\[[^\]]+\]: +(\S+)", text, flags=re.M)
    yield from (unescape(link) for link in re.findall(r"(?:href|src|srcset)=\"([^\"]+)\"", text))


def broken(path, text):
    """Links of a page that lead nowhere within the repository."""
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or not target.is_relative_to(ROOT) or (anchor and (target.suffix != ".md" or anchor not in set(anchors(target.read_text(encoding="utf-8"))))):
            yield link


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_links_lead_to_files_and_headings(path):
    assert list(broken(path, path.read_text(encoding="utf-8"))) == []


def test_broken_links_are_found():
    page = ROOT / "README.md"
    text = "[a](docs/no.md) [b](docs/data.md#no-such) ![c](no.png) <img src=\"d.svg\">\n`[e](code.md)`\n```\n[f](g.md)\n```\n[h](#no)"
    assert sorted(broken(page, text)) == sorted(["docs/no.md", "docs/data.md#no-such", "no.png", "d.svg", "#no"])
    assert list(anchors("# A `b` (c), d\n## A b c d\n# 中文 标题\n")) == ["a-b-c-d", "a-b-c-d-1", "中文-标题"]


@pytest.mark.parametrize("readme", ["README.md", "README_cn.md"])
def test_every_page_of_docs_is_linked_from_both_readmes(readme):
    linked = {link.partition("#")[0] for link in links((ROOT / readme).read_text(encoding="utf-8"))}
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= linked


def commands():
    for path, name in zip(PAGES, IDS, strict=True):
        for line in code_blocks(path.read_text(encoding="utf-8")):
            if found := COMMAND.match(line):
                yield pytest.param(found[1], id=f"{name}: {found[1][:60]}")


def words_of(command):
    words = shlex.split(command.partition(" < ")[0].replace("…", "X"), comments=True)
    end = next((i for i, word in enumerate(words) if word.startswith((">", "|", "&", "("))), len(words))
    return words[1:end]


@cache
def help_of(program):
    return subprocess.run([sys.executable, program, "--help"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("command", list(commands()))
def test_commands_in_pages_are_ones_that_the_programs_take(command):
    program, *argv = words_of(command)
    if program == "main.py":
        name, overrides = parse_command_line([word for word in argv if word not in ("...", "[...]")])
        known = name in {path.stem for path in FOLDER.glob("*.yaml")}
        load_config(name if known else "2001", overrides)
    elif program == "infer.py":
        infer.parse(argv)
    elif program != "-m":
        assert (ROOT / program).is_file()
        options = [word.partition("=")[0] for word in argv if word.startswith("-")]
        if options:
            assert not [option for option in options if option not in help_of(program)]


def test_help_shows_every_option_that_the_readme_relies_on():
    named = set(re.findall(r"(?<![\w-])--[a-z][\w.]+", (ROOT / "README.md").read_text(encoding="utf-8")))
    shown = set(re.findall(r"--[a-z][\w.]+", help_of("main.py") + help_of("infer.py")))
    assert len(named) > 12 and named <= shown


def test_make_targets_in_pages_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert {"lint", "format", "test", "test-full", "bench", "docs", "demo"} <= targets
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"`make ([a-z -]+?)[`A-Z=]", text) + re.findall(r"^ {4}make ([a-z -]+?)(?: {2,}.*| [A-Z].*)?$", text, flags=re.M)
        unknown = {word for words in named for word in words.split()} - targets
        assert not unknown, path


def test_the_configuration_page_is_fresh_and_explains_every_key():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert text == page("configuration"), "run make docs"
    rows = dict(re.findall(r"^\| `([\w.]+)` \|(.*)\|$", text, flags=re.M))
    assert not [key for key, cells in rows.items() if not cells.split("|")[-1].strip()]

    def keys(values, path=()):
        for key, value in values.items():
            nested = isinstance(value, dict) and value
            yield from keys(value, (*path, key)) if nested else [".".join((*path, key))]

    assert set(rows) == set(keys(load_config("2001").plain())) - {"config"}
    assert set(Config.model_fields) == {key.partition(".")[0] for key in rows} | {"config"}


def test_one_version_stands_everywhere():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION
    assert VERSION in (ROOT / "CHANGELOG.md").read_text()
    assert 'attr = "utils.VERSION"' in (ROOT / "pyproject.toml").read_text()
    done = subprocess.run([sys.executable, "main.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"EfficientGCN-Paddle {VERSION}\n"


def test_the_readmes_are_equal_in_content():
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README_cn.md"))

    def bare(text):  # commands without what is said of them
        return [re.split(r" {2,}#| {4,}", line)[0] for line in code_blocks(text)]

    def targets(text):
        same = {"README.md": "README_cn.md", "test_tipc/README.md": "test_tipc/README_cn.md"}
        found = (link.replace("/en/install", "/install") for link in links(text) if not link.startswith("#"))
        return sorted(same.get(link, link) for link in found)

    def figures(text):
        return [sorted(re.findall(r"\d[\d,.]*\d|\d", row)) for row in text.splitlines() if row.startswith("|")]

    assert bare(english) == bare(chinese)
    assert targets(english) == targets(chinese)
    assert figures(english) == figures(chinese)
    for level in ("## ", "### ", "- ", "**"):
        assert sum(line.startswith(level) for line in english.splitlines()) == sum(
            line.startswith(level) for line in chinese.splitlines()
        ), level


OURS = [path for path in ROOT.iterdir() if path.suffix == ".py" or (path.is_dir() and not SKIPPED.match(f"{path.name}/"))]
FOLDERS = "|".join(path.stem for path in OURS)


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_files_that_pages_name_exist(path):
    named = set(re.findall(rf"`((?:{FOLDERS})(?:/[\w./-]+|\.py))", path.read_text(encoding="utf-8")))
    named = {name for name in named if not re.search(r"[A-Z]{4}|configs/mine", name)}  # MODEL, RESULTS, your own: made later
    places = (ROOT, path.parent)  # test_tipc's pages name their own folders
    assert not [name for name in named if not any((place / name).exists() for place in places)]


def test_the_zoo_in_the_readme_is_that_of_the_model_zoo_page():
    zoo = (ROOT / "docs" / "model_zoo.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (B\d \w+) \| (\d{4})-(\d{4}) \| (.*?) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M)
    assert [int(first) for _, first, _, _ in rows] == list(range(2001, 2025, 4))
    for name, first, last, cells in rows:
        parameters, cost, *top1 = (cell.strip() for cell in cells.split("|"))
        assert int(last) == int(first) + 3
        assert [line for line in zoo.splitlines() if line.startswith(f"| {name} |") and cost.replace("+", "|") in line], name
        for number, published in zip(range(int(first), int(last) + 1), top1, strict=True):
            row = re.search(rf"^\| {number} \| \S+ \| \S+ \| {name} \| ([\d,]+) \| (.*) \|$", zoo, flags=re.M)
            assert row[1] == parameters.split(" / ")[number - int(first) > 1]
            assert f"{published} top-1" in row[2] if published else "don't have" in row[2], number


def test_moving_pictures_are_under_a_megabyte():
    pictures = list((ROOT / "docs").glob("*.gif"))
    assert pictures and all(path.stat().st_size < 1e6 for path in pictures)


@pytest.mark.full
def test_the_site_builds_and_no_link_leads_nowhere():
    done = subprocess.run(["make", "site"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (ROOT / "build/site/docs/deployment.html").exists()
