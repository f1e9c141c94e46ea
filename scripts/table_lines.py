"""How the scripts that write tables of numbers into C++ files wrap them."""

WIDTH = 118


def lines(items: list[str]) -> str:
    """Items separated by commas, wrapped."""
    result, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > WIDTH:
            result.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*result, line])
