"""A campaign's reminder, as its operator sets it."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from linkgate.mail.wording import Language, check_subject, check_text
from linkgate.validation import Model


class Reminder(Model):
    """One e-mail to a person whose checkout closed unpaid; {link}, {brand} and {campaign} may
    stand in its words.
    """

    after_minutes: Annotated[int, Field(ge=0, le=43_200)] = Field(
        default=60, description="How long after a session has expired; 30 days at most"
    )
    subject: (
        Annotated[
            str, StringConstraints(min_length=1, max_length=200), AfterValidator(check_subject)
        ]
        | None
    ) = Field(default=None, description="linkgate's own in that language if null")
    text: (
        Annotated[str, StringConstraints(min_length=1, max_length=5000), AfterValidator(check_text)]
        | None
    ) = Field(
        default=None,
        description="Blank lines part paragraphs; {link} on a line of its own becomes a button, "
        "and is added at the end if it is nowhere. linkgate's own text if null",
    )
    language: Language = Field(
        default="en", description="Of linkgate's own words: the button, the way out"
    )
