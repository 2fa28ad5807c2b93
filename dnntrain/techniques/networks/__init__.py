"""Networks: each is a technique that says which layers a run has."""
