# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbers and tables as reStructuredText has them."""


def number(value, digits=3):
    """Three digits of it that count, without an exponent."""
    if value is None:
        return "-"
    if abs(value) >= 10000:
        return f"{value / 1000:.{0 if abs(value) >= 1e5 else 1}f}k"
    if abs(value) >= 1000 or not value:
        return f"{value:.0f}"
    # places behind the point, of what is rounded to so many digits
    places = digits - 1 - int(f"{value:.{digits - 1}e}".split("e")[1])
    text = f"{value:.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def simple_table(head, lines):
    """A table of reStructuredText."""
    if not lines:
        return ["Nothing of this has been measured.", ""]
    widths = [max(len(line[i]) for line in [head] + lines)
              for i in range(len(head))]
    rule = " ".join("=" * width for width in widths)
    body = [" ".join(cell.ljust(width) for cell, width in zip(line, widths))
            .rstrip() for line in lines]
    first = " ".join(cell.ljust(width) for cell, width in zip(head, widths))
    return [rule, first.rstrip(), rule, *body, rule, ""]
