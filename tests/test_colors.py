"""The colours of charts, measured: seen apart by everybody, on white and on dark."""

from itertools import combinations

import pytest

from tidyusage.plot import colors

WHITE, DARK = "#ffffff", "#1e1e1e"
ALL = (*colors.PALETTE, colors.OTHER, colors.NONE)
# Machado, Oliveira and Fernandes 2009, severity 1.0; of linear RGB.
SIGHTS = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(color):
    parts = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def oklab(rgb):
    """Björn Ottosson's OKLab, in which equal distances look equally large."""
    rgb = [min(max(part, 0), 1) for part in rgb]
    lms = times(
        (
            (0.4122214708, 0.5363325363, 0.0514459929),
            (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005),
        ),
        rgb,
    )
    return times(
        (
            (0.2104542553, 0.7936177850, -0.0040720468),
            (1.9779984951, -2.4285922050, 0.4505937099),
            (0.0259040371, 0.7827717662, -0.8086757660),
        ),
        [part ** (1 / 3) for part in lms],
    )


def luminance(color):
    return sum(
        share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear(color), strict=True)
    )


def contrast(one, other):
    """WCAG 2's."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("sight", SIGHTS)
def test_any_two_are_seen_apart(sight):
    seen = {color: oklab(times(SIGHTS[sight], linear(color))) for color in ALL}
    nearest = min(
        sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        for one, other in combinations(ALL, 2)
    )
    # Three times the difference that is just seen (0.02); the eight of Okabe and Ito have 0.076.
    assert nearest > 0.06


@pytest.mark.parametrize("page", [WHITE, DARK])
def test_all_stand_out_from_the_page(page):
    # WCAG 2.2, 1.4.11: graphics have 3 to 1.
    assert min(contrast(color, page) for color in ALL) >= 3


def test_there_are_twelve_and_none_twice():
    assert len(set(colors.PALETTE)) == 12
    assert len(set(ALL)) == 14


def test_no_two_of_a_dozen_share_a_colour():
    names = [f"model-{n}" for n in range(12)]
    assert sorted(colors.assign(names).values()) == sorted(colors.PALETTE)


def test_a_name_has_its_colour_in_whatever_order_it_comes():
    names = [f"model-{n}" for n in range(9)]
    assert colors.assign(names) == colors.assign(reversed(names))


def test_a_name_alone_has_its_favourite_and_so_has_the_first_of_many():
    alone = {name: colors.assign([name])[name] for name in "abcdef"}
    together = colors.assign("abcdef")
    same = [name for name in "abcdef" if alone[name] == together[name]]
    # Whoever gives way does so for one that keeps its own.
    moved = set("abcdef") - set(same)
    assert all(any(together[keeper] == alone[name] for keeper in same) for name in moved)
    assert len(same) >= 3


@pytest.mark.parametrize("name", ["claude", "cursor", "claude-opus-5", "gpt-5.5", "edit"])
def test_who_is_met_everywhere_has_one_colour_everywhere(name):
    alone = colors.assign([name])[name]
    others = [f"other-{n}" for n in range(11)]
    assert colors.assign([*others, name])[name] == alone
    assert colors.assign([name, *others[:4]])[name] == alone


def test_those_shown_keep_their_colour_in_a_dozen_or_fewer():
    names = [f"model-{n}" for n in range(12)]
    every = colors.assign(names)
    assert colors.assign(names, shown=[names[:3]]) == {name: every[name] for name in names[:3]}


def test_of_more_than_a_dozen_those_shown_differ():
    names = [f"model-{n}" for n in range(40)]
    for begin in range(28):
        shown = names[begin : begin + 12]
        found = colors.assign(names, shown=[shown])
        assert set(found) == set(shown)
        assert len(set(found.values())) == 12


def test_given_colours_are_taken_and_given_to_nobody_else():
    wanted = colors.assign(["a"])["a"]
    found = colors.assign(["a", "b"], {"b": wanted})
    assert found["b"] == wanted
    assert found["a"] != wanted


def test_names_of_any_letters_have_one():
    odd = ["", "\ud800", "名前", "a" * 10_000]
    assert len(set(colors.assign(odd).values())) == 4


def test_colours_of_many_names_take_steps_in_proportion(monkeypatch):
    steps = []
    wish = colors._wish
    monkeypatch.setattr(colors, "_wish", lambda *given: steps.append(given) or wish(*given))

    def taken(count):
        steps.clear()
        names = [f"model-{n}" for n in range(count)]
        assert len(colors.assign(names, shown=[names[:12]])) == 12
        return len(steps)

    # A name that finds a colour free looks at twelve at most; one that is not shown finds none.
    few, many = taken(1_000), taken(10_000)
    assert 0 < many <= 10 * few
