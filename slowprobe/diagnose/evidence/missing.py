"""What evidence raises where a run does not hold it."""

EvidenceMissing = LookupError
