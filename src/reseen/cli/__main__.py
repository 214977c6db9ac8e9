"""``python -m reseen.cli``, as launchers start it."""

from reseen.cli import main

main()
