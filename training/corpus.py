"""Jane Austen's six novels from Debian's package r-cran-janeaustenr, as chapters of clean text.

    python -m training.corpus                   prints the size of both parts
    python -m training.corpus --held-out FILE   also writes the held-out part, two empty lines between chapters

The text is in the public domain. The package is unpacked into training/.cache, not installed,
because an installation would also install R.
"""

import argparse
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from training import lazy_load

PACKAGE = "r-cran-janeaustenr"
CACHE = Path(__file__).parent / ".cache"
DATABASE = "usr/lib/R/site-library/janeaustenr/data/Rdata"
NOVELS = ["emma", "mansfieldpark", "northangerabbey", "persuasion", "prideprejudice", "sensesensibility"]
# The last chapters of each novel are held out, at least this part of its characters.
HELD_OUT_PART = 0.05

CHAPTER = re.compile(r"chapter ([ivxl]+|\d+)", re.IGNORECASE)
VOLUME = re.compile(r"volume [ivx]+", re.IGNORECASE)
THE_END = re.compile(r"finis|the end|a note on the text|\*vide .*", re.IGNORECASE)
EDITORIAL = re.compile(r"\[.*\]|[* ]+")


@dataclass(frozen=True)
class Corpus:
    """Both parts as chapters; each chapter is a string with an empty line between paragraphs."""

    train: list[str]
    held_out: list[str]


def unpack() -> Path:
    """Downloads and unpacks the package once; returns the lazy-load database's path without suffix."""
    database = CACHE / "package" / DATABASE
    if not database.with_suffix(".rdb").exists():
        CACHE.mkdir(exist_ok=True)
        subprocess.run(["apt-get", "download", PACKAGE], cwd=CACHE, check=True)
        archive = sorted(CACHE.glob(f"{PACKAGE}_*.deb"))[-1]
        subprocess.run(["dpkg", "-x", archive, CACHE / "package"], check=True)
    return database


def join_lines(lines: list[str]) -> str:
    """One paragraph joined from its hard-wrapped lines, without marks for italics and footnotes."""
    text = "\n".join(line.strip() for line in lines)
    # Some lines break after a hyphen or dash, where no space belongs.
    text = re.sub(r"(?<=\S-)\n", "", text)
    return re.sub(r"\s+", " ", re.sub(r"[_*]", "", text))


def chapters(lines: list[str]) -> list[str]:
    """The chapters of a novel, from its lines, without title page, headings, notes and closing words."""
    found: list[list[str]] = []
    paragraph: list[str] = []

    def close_paragraph():
        text = join_lines(paragraph)
        paragraph.clear()
        if text and found and not EDITORIAL.fullmatch(text):
            found[-1].append(text)

    for line in [*lines, ""]:
        bare = line.strip()
        if CHAPTER.fullmatch(bare):
            close_paragraph()
            found.append([])
        elif THE_END.fullmatch(bare):
            break
        elif bare and not VOLUME.fullmatch(bare):
            paragraph.append(line)
        else:
            close_paragraph()
    return ["\n\n".join(paragraphs) for paragraphs in found]


def held_out_count(texts: list[str]) -> int:
    """The number of chapters at the end that together reach HELD_OUT_PART of the novel's characters."""
    wanted = HELD_OUT_PART * sum(map(len, texts))
    count = 0
    while sum(map(len, texts[len(texts) - count :])) < wanted:
        count += 1
    return count


def load() -> Corpus:
    novels = lazy_load.read(unpack())
    train, held_out = [], []
    for name in NOVELS:
        texts = chapters(novels[name])
        count = held_out_count(texts)
        train += texts[:-count]
        held_out += texts[-count:]
    return Corpus(train, held_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", type=Path)
    file = parser.parse_args().held_out
    corpus = load()
    for part in ("train", "held_out"):
        texts = getattr(corpus, part)
        print(f"{part}: {len(texts)} chapters, {sum(map(len, texts)):,} characters")
    if file:
        file.write_text("\n\n\n".join(corpus.held_out) + "\n")


if __name__ == "__main__":
    main()
