"""Classes of the set that were found in the field: what generated pictures of text lacked."""

from bench.ocr.field import papers, unknown
from bench.ocr.field.scripts import WORDS
from bench.ocr.kind import Kind

FIELD = (
    *(Kind(name, 4, unknown.script(name), target=0.02) for name in WORDS),
    Kind("strokes", 8, unknown.strokes, target=0.02),
    Kind("marks", 8, unknown.marks, target=0.02),
    Kind("flags", 8, unknown.flags, target=None),
    Kind("textures", 8, unknown.textures, target=None),
    Kind("worn slip", 6, papers.worn_slip, target=0.02),
    Kind("short lines", 6, papers.short_lines, target=0.02),
    Kind("beside banner", 4, papers.beside_banner, target=0.01),
    Kind("open book", 4, papers.open_book, target=0.01),
    Kind("letter-spaced", 4, papers.letter_spaced, target=0.01),
    Kind("on nothing", 4, papers.on_nothing, target=0.01),
    Kind("small print", 4, papers.small_print, target=0.01),
    Kind("lone word", 6, papers.lone_word, target=0.02),
)
