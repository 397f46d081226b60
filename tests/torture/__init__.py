"""Bad inputs, faults and fuzzing of the real commands; docs/reliability.md."""
