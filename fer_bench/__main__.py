"""`python -m fer_bench`."""

from fer_bench.cli.main import main

main()
