"""From checked settings to a finished run folder."""
