"""``python -m reseen``, as launchers start it."""

from reseen.cli import main

main()
