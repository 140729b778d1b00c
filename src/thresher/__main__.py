"""`python -m thresher`, and `torchrun -m thresher train ...` on several processes."""

from thresher.cli.main import main

if __name__ == "__main__":
    main()
