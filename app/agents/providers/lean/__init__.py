"""OpenAI's chat completions at a fifth of its SDK's price, under AutoGen's own client.

AutoGen's client takes any object that answers as the SDK's does. The SDK spends three quarters of a run, and more
than half of a token, on building pydantic models of which AutoGen reads a few attributes. Here bytes become small
objects of these attributes: `reading` takes them from the connection, `frames` finds the events of a stream, `values`
are what AutoGen reads, `stream` is what it iterates over, `wire` sends a request and fails as the SDK does, `client` is
put in the SDK's place.

What is asked for, where, with which headers, how often it is tried again and as which error it fails is the SDK's
word still: its client is asked, once or when something fails.
"""
