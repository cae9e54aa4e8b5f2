"""What a confirmation shows of the hand that pressed.

The page's script tells it, and whoever writes his own script can tell what he likes: its word is
taken against him, and for him only where nothing else speaks against. The rules are about the
interstitial's button alone: the busy page sends by itself, and only for someone let in before.

Whom these rules get wrong is shown the button again, with a sentence on how to press it.
"""

from linkgate.detection.declared import automated
from linkgate.detection.rules import Finding, Scene
from linkgate.detection.verdict import Kind, Standing
from linkgate.signals import Press


def _press(scene: Scene) -> Press | None:
    press = scene.signals.press
    return None if press is None or press.repeat else press


def by_hand(scene: Scene) -> bool:
    """Whether a person's input pressed the button, as far as the page's script can tell."""
    press = _press(scene)
    return press is not None and press.ran and press.pressed and press.trusted and not press.driven


def after_reading(scene: Scene) -> bool:
    """Whether a press without script came no sooner than a person without JavaScript presses."""
    press = _press(scene)
    if press is None or press.ran or press.second or press.dwell is None:
        return False
    return press.dwell >= scene.limits.dwell_seconds


def second_control(scene: Scene) -> Finding | None:
    """The form was sent by its second button, which no person sees, reaches or hears.

    Source: scanners send the forms that they find by script (fleet#26976, outline#9227); hidden
    controls are an old trap for programs that fill in forms. Wrong about people: in a text browser,
    which shows the button; its label says to use the other one.
    """
    press = _press(scene)
    if press is None or not press.second:
        return None
    return automated("it used the second button, which no person can see", Kind.SCANNER)


def scripted(scene: Scene) -> Finding | None:
    """The page's script ran, and saw the form sent without a press, or by a press that the browser
    does not put down to a person's input (`isTrusted`).

    Source: DOM standard, 2.10 (isTrusted); HTML standard (a script's submit() raises no event);
    scanners seen sending forms by script, none with real input (fleet#26976, outline#9227). Wrong
    about people: where an extension clicks for them (keyboard navigation in the manner of Vimium,
    some voice control); the keyboard's Enter works there too.
    """
    press = _press(scene)
    if press is None or not press.ran:
        return None
    if not press.pressed:
        return automated("a script sent the form, and nothing pressed its button", Kind.SCANNER)
    if not press.trusted:
        return automated("a script pressed the button, not a person's input", Kind.SCANNER)
    return None


def driven(scene: Scene) -> Finding | None:
    """The browser says that a program drives it (`navigator.webdriver`).

    Source: W3C WebDriver, section 4: true while the browser is under remote control; tried in
    Chromium 156. Wrong about people: only in a browser that a test or a kiosk's program has opened.
    """
    press = _press(scene)
    if press is None or not press.driven:
        return None
    return automated("the browser says that a program drives it (webdriver)", Kind.SCANNER)


def unseen(scene: Scene) -> Finding | None:
    """The button was pressed on a page that was never visible.

    Source: W3C Page Visibility; HTML standard (prerendering). Wrong about people: only in an app
    whose built-in browser wrongly calls itself hidden; none is known.
    """
    press = _press(scene)
    if press is None or not press.pressed or press.visible > 0:
        return None
    return automated("the page was never in sight before the press", Kind.SCANNER)


def too_fast(scene: Scene) -> Finding | None:
    """The form was sent before a person could have read the page: `Limits.press_seconds` of it in
    sight, half a second as it comes. The challenge's signed time says the most that it can have
    been, whatever the page's script says.

    Source: a person's simple reaction alone takes 0.2 to 0.3 seconds, before the pointer moves; a
    driven browser presses at once. Wrong about people: about someone whose pointer waits where
    the button appears, or the second click of a double one.
    """
    press = _press(scene)
    if press is None or not press.ran or press.visible <= 0:
        return None
    limit = scene.limits.press_seconds
    seen = press.visible if press.dwell is None else min(press.visible, press.dwell)
    if seen >= limit:
        return None
    reason = f"the page was in sight for {seen:.2f} seconds before the press"
    return automated(f"{reason}, and {limit:g} are the least", Kind.SCANNER)


def unread(scene: Scene) -> Finding | None:
    """The page's script did not run, and the press came sooner than `Limits.dwell_seconds` after
    the page was made: a second as it comes, with the way there and back in it.

    Source: as for `too_fast`; libraries post a form back at once. Wrong about people: about someone
    hasty without JavaScript, or quicker than a slow line's script. Without a good challenge, or
    with one from a gateway whose clock is ahead, nothing is known.
    """
    press = _press(scene)
    if press is None or press.ran or press.dwell is None:
        return None
    limit = scene.limits.dwell_seconds
    if press.dwell >= limit:
        return None
    reason = f"without script, it pressed {press.dwell:.2f} seconds after the page was made"
    return automated(f"{reason}, and {limit:g} are the least", Kind.SCANNER)


def real(scene: Scene) -> Finding | None:
    """A person's input pressed the button of a page of ours that had been in sight.

    Source: mouse, keyboard and touch in Chromium 156 against every way in which a script can press.
    A program that drives a browser from outside can send such input: this speaks for a person only
    when nothing speaks against.
    """
    press = _press(scene)
    if press is None or press.dwell is None or press.second or not by_hand(scene):
        return None
    if not press.visible > 0 or min(press.visible, press.dwell) < scene.limits.press_seconds:
        return None
    return Finding(Standing.HUMAN, "a person's input pressed the button, on a page in sight")
