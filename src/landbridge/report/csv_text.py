"""Names of users in CSV files: a spreadsheet shows them, and runs no formula in them."""

#: Spreadsheets take a cell that begins with one of these for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def in_csv(value: str) -> str:
    """Write text for a CSV file: a spreadsheet would run a formula, so an apostrophe is put before it."""
    if not value.startswith(FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
