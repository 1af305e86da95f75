"""`python -m jupyter_dpsynth.cli`, the same as `jupyter dpsynth`."""

from jupyter_dpsynth.cli import main

raise SystemExit(main())
