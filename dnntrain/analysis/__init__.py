"""What recorded runs say: values by arm, comparisons, effects, and verdicts. Reports show it; studies decide by it."""
