"""How often dnntrain's statistics err: simulated studies, judged by the functions that judge real ones.

    python -m tests.bench.error_rates [PART …] [--studies-scale F]

The parts are the modules of `__main__.PARTS`. Each prints its tables and returns `checks.Check`s, which the program
lists at the end. Studies are judged all at once, in arrays [study, arm, seed].
"""
