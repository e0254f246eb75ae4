"""What an idle mind tells of itself, through a whole kernel."""

from bat_os.image import proposals


async def test_the_first_sentence_after_a_long_rest_brings_the_news(kernel, monkeypatch):
    found = proposals.Proposal(
        "unused", "k", "Nobody has used x.y for 90 days", "w",
        [{"shown": "unlearn it", "deed": {"do": "verb"}}], [],
    )  # fmt: skip
    put = kernel.mind.image.transact
    await put(lambda root: proposals.put(root, [found], at=5.0), note="propose")
    async with kernel.client() as client:
        told = await client.request("say", body={"text": "what is 2 + 2", "once": True})
        assert "news" not in told
        monkeypatch.setattr("bat_os.kernel.dispatcher.MORNING_SECONDS", 0.0)
        told = await client.request("say", body={"text": "what is 2 + 2", "once": True})
        assert "Nobody has used x.y for 90 days. `batos accept 1`." in told["news"]
        told = await client.request("say", body={"text": "what is 2 + 2", "once": True})
        assert told["news"] == ""


async def test_a_kernel_that_somebody_just_used_rests(kernel):
    async with kernel.client() as client:
        await client.request("say", body={"text": "what is 2 + 2", "once": True})
        told = await client.request("proposals")
    assert kernel.kernel.heartbeat is kernel.mind.orchestrator.heartbeat
    assert told["proposals"] == []
    assert told["budget"] == proposals.BUDGET
