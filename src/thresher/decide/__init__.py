"""From scores to accept or review, with evidence."""
