"""Reference models, trainer and golden data of altup-serve (see training/README.md)."""
