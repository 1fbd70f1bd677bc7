"""`python -m move37`, and the console script."""

from move37.cli import main

if __name__ == "__main__":
    main()
