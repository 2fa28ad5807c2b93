"""From records to what a person reads: tables, files. Never imports torch."""
