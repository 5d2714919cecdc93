"""Reports: read many run records, compare methods with their references, and write one HTML page."""
