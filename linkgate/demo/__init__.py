"""The demo: the embedded store, the sandbox in Stripe's place and the gateway, in one process.

It is the real application on a real store, with sample campaigns in it; only Stripe is played.
"""

from linkgate.demo.running import Audience, run_demo
from linkgate.demo.samples import SampleLink, Tour
from linkgate.demo.steps import Step, steps

__all__ = ["Audience", "SampleLink", "Step", "Tour", "run_demo", "steps"]
