"""Records read together: what was compared, whether transfer helped, and one HTML page that says so."""
