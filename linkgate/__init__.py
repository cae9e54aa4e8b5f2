"""linkgate: a gateway for links in e-mail.

The path of one visit, in the order in which the modules stand:

    request -> signals.gather -> detection.judge -> decision.decide
            -> visits.apply (mint | page | refuse) -> record -> response

The core (tokens, campaigns, signals, detection, decision, challenge, payments, errors) takes values
and ``now``; it never sees a request, a clock, the environment or a client. The shell (visits,
destinations, store, web, cli) does the input and output.
"""

__version__ = "0.1.0"
