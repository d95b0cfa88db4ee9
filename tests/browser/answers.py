"""What the model of the pictures says: the same to the same question."""

from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls, Usage

BEES = """A bee that found food **dances** to tell the others where it is:

- the *angle* of the dance is the angle between the sun and the flowers;
- how long it *waggles* is how far they are.

```python
def distance_m(waggle_s: float) -> float:
    return 1000 * waggle_s  # a second is about a kilometre
```
"""
COLONY = "In summer 40 000 to 60 000 live in one colony; in winter some 10 000 keep the queen warm."
FACTS = """- Bees fly about 90 000 km for a pound of honey.
- One bee makes a twelfth of a teaspoon in its life.
- A jar holds the work of some 1 100 bees."""
PARAGRAPH = (
    "A jar of honey is the life's work of some **1 100 bees**. Together they flew twice around the world for it, "
    "a twelfth of a teaspoon each."
)
LONG = " ".join(
    f"**{number}.** A bee visits fifty to a hundred flowers on one flight, and comes home with what it can carry."
    for number in range(1, 40)
)
WEATHER = "Tomorrow Lisbon will have **11 to 17 °C**, with a chance of rain of about one in three. Take a jacket."
IMAGE = "A dashboard of six panels. Runs per second are steady, and the **p95 of the first token** is what to look at."
BILLING = (
    "I have found your invoice: it was paid **twice**. The second payment goes back to your card within three days."
)
TICKET = (
    """{"category": "billing", "urgent": true, "summary": "The customer paid an invoice twice and wants money back."}"""
)
PAID = "The vase came broken, so **40.00 euros** are on their way back to you."

SAID = {
    "You are a researcher": Text(FACTS, interval_s=0.01, usage=Usage(84, 52)),
    "You are a writer": Text(PARAGRAPH, interval_s=0.01, usage=Usage(143, 38)),
    "You are the billing desk": Text(BILLING, interval_s=0.01, usage=Usage(131, 27)),
    "Sort the customer": Text(TICKET, interval_s=0.01, usage=Usage(96, 31)),
}
"""By the beginning of an agent's instructions."""
ANSWERED = {
    "dance": Text(BEES, interval_s=0.01, usage=Usage(42, 96)),
    "how many": Text(COLONY, interval_s=0.01, usage=Usage(171, 29)),
    "everything": Text(LONG, interval_s=0.01),
    "dashboard": Text(IMAGE, interval_s=0.01, usage=Usage(812, 33)),
}
"""By a word of the question."""
CALLS = {
    "weather": (
        ToolCall("weather", {"city": "Lisbon", "day": "2026-11-24"}),
        Text(WEATHER, interval_s=0.01, usage=Usage(174, 24)),
    ),
    "refund": (ToolCall("refund", {"order": "A-1017", "euros": 40}), Text(PAID, interval_s=0.01)),
    "book": (ToolCall("book", {"city": "Ghent"}), Text("Have a good journey.")),
    "transfer_to_billing": (ToolCall("transfer_to_billing", {}), Text("")),
}
"""By the tool that is offered: its call, and what is said of its result."""


def answer(request: Request) -> Reply:
    asked, instructions = request.asked, str(request.json["messages"][0]["content"])
    for tool in asked.tools or ():
        if tool.name in CALLS:
            return ToolCalls((CALLS[tool.name][0],), usage=Usage(118, 21))
    for call, said in CALLS.values():
        if asked.results and call.name in str(request.json["messages"]):
            return said
    by_instructions = (said for begin, said in SAID.items() if instructions.startswith(begin))
    by_question = (said for word, said in ANSWERED.items() if word in asked.text)
    return next(by_instructions, None) or next(by_question, Text(COLONY))
