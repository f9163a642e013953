"""Models that run on the executor, in a supervised process that its tasks share."""
