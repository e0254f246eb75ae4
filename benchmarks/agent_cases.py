"""What the agent is measured with: ten tools, and requests for them.

Four for each tool: ``KNOWN`` are the requests that the rules were made with. ``NEW`` were new once;
what they showed was put right. ``FRESH``, in other words, were written before anything was measured
on them, and no rule was made for them; docs/agent.md has the first look.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Tool(NamedTuple):
    """A tool as a person or a server describes it."""

    about: str
    parameters: dict[str, str]  # name -> what it is
    example: str  # a request for it
    call: dict[str, str]  # the arguments of the example


TOOLS: Final = {
    "read_file": Tool(
        "Read a text file and return what is in it.",
        {"path": "the file"},
        "What does notes.txt say?",
        {"path": "notes.txt"},
    ),
    "fetch_page": Tool(
        "Fetch a web page and return its text.",
        {"url": "address of the page"},
        "Get the page https://python.org",
        {"url": "https://python.org"},
    ),
    "tell_time": Tool(
        "Tell the date and time in a city or time zone.",
        {"place": "city or time zone"},
        "What is the time in Lima?",
        {"place": "Lima"},
    ),
    "remember": Tool(
        "Remember a fact for later.",
        {"fact": "what to remember"},
        "Keep in mind that the cat is called Tom.",
        {"fact": "the cat is called Tom"},
    ),
    "compute": Tool(
        "Compute the value of an arithmetic expression.",
        {"expression": "the expression"},
        "What is 3 * 7?",
        {"expression": "3 * 7"},
    ),
    "list_folder": Tool(
        "List the names of the files in a folder.",
        {"folder": "the folder"},
        "What is inside the folder music?",
        {"folder": "music"},
    ),
    "write_file": Tool(
        "Write a text into a file.",
        {"path": "the file", "text": "what to write"},
        "Put hello into greeting.txt",
        {"path": "greeting.txt", "text": "hello"},
    ),
    "recall": Tool(
        "Find a fact that was remembered earlier.",
        {"question": "what is asked"},
        "What is the name of the cat?",
        {"question": "the name of the cat"},
    ),
    "remind": Tool(
        "Remind me of something at a later time or every day.",
        {"when": "the time", "what": "of what"},
        "Wake me at 7",
        {"when": "at 7", "what": "Wake me"},
    ),
    "send_mail": Tool(
        "Send an e-mail message to a person.",
        {"to": "the person", "text": "the message"},
        "Mail Bob that lunch is ready",
        {"to": "Bob", "text": "lunch is ready"},
    ),
}


class Request(NamedTuple):
    """A request, and the call that answers it."""

    text: str
    tool: str
    arguments: dict[str, str]


def _read(lines: str) -> tuple[Request, ...]:
    found = []
    for line in lines.strip().splitlines():
        tool, text, given = (part.strip() for part in line.split("|"))
        pairs = (pair.partition("=") for pair in given.split("; "))
        found.append(Request(text, tool, {name: value for name, _, value in pairs}))
    return tuple(found)


KNOWN: Final = _read("""
read_file | show me the contents of todo.md | path=todo.md
read_file | open report.txt and tell me what it says | path=report.txt
read_file | read the file /home/ann/diary.txt | path=/home/ann/diary.txt
read_file | what is written in config.ini | path=config.ini
fetch_page | download http://example.com/news | url=http://example.com/news
fetch_page | what does the site https://weather.org say | url=https://weather.org
fetch_page | load www.bbc.co.uk and give me the text | url=www.bbc.co.uk
fetch_page | summarise the article at https://blog.net/post | url=https://blog.net/post
tell_time | what time is it in Tokyo | place=Tokyo
tell_time | how late is it in New York right now | place=New York
tell_time | current date in Sydney please | place=Sydney
tell_time | is it already evening in Moscow | place=Moscow
remember | remember that my sister's birthday is 3 May | fact=my sister's birthday is 3 May
remember | note that the wifi password is tulip42 | fact=the wifi password is tulip42
remember | don't forget: the car is parked on level 4 | fact=the car is parked on level 4
remember | my dentist is called Dr. Meyer, keep that | fact=my dentist is called Dr. Meyer
compute | how much is 17 * 23 | expression=17 * 23
compute | calculate (4 + 5) / 3 | expression=(4 + 5) / 3
compute | add 1200 and 350 + 12 | expression=1200 and 350 + 12
compute | what's 2 to the power 10, so 2 ** 10 | expression=2 ** 10
list_folder | which files are in the folder photos | folder=photos
list_folder | show the directory /var/log | folder=/var/log
list_folder | what do I have in Downloads | folder=Downloads
list_folder | list everything in my notes folder | folder=notes
write_file | save the text buy milk to shopping.txt | path=shopping.txt; text=buy milk
write_file | write meeting at noon into plan.md | path=plan.md; text=meeting at noon
write_file | create a file hello.txt that says hi there | path=hello.txt; text=hi there
write_file | store the line done in status.log | path=status.log; text=done
recall | when is my sister's birthday | question=my sister's birthday
recall | what was the wifi password again | question=the wifi password
recall | where did I park the car | question=did I park the car
recall | do you know what my dentist is called | question=my dentist is called
remind | remind me to water the plants tomorrow at 9 | when=tomorrow at 9; what=water the plants
remind | every morning tell me to take my pills | when=every morning; what=take my pills
remind | in ten minutes remind me of the oven | when=in ten minutes; what=the oven
remind | ping me on Friday about the rent | when=on Friday; what=the rent
send_mail | send an email to Carla saying I am late | to=Carla; text=I am late
send_mail | write to bob@example.com that we meet at 5 | to=bob@example.com; text=we meet at 5
send_mail | tell my boss by mail that I am sick today | to=my boss; text=I am sick today
send_mail | mail Dana the words happy birthday | to=Dana; text=happy birthday
""")

NEW: Final = _read("""
read_file | print the file budget.csv for me | path=budget.csv
read_file | let me see what is in /etc/hosts | path=/etc/hosts
read_file | I need the text of letter.txt | path=letter.txt
read_file | can you look into recipes/soup.md | path=recipes/soup.md
fetch_page | go to https://news.org/today and tell me what it says | url=https://news.org/today
fetch_page | get me the content of www.wikipedia.org | url=www.wikipedia.org
fetch_page | visit http://example.org/help | url=http://example.org/help
fetch_page | read the page at https://docs.net/start | url=https://docs.net/start
tell_time | tell me the hour in Cairo | place=Cairo
tell_time | what day is it in Auckland now | place=Auckland
tell_time | what is the local time in Buenos Aires | place=Buenos Aires
tell_time | which time do they have in Vancouver | place=Vancouver
remember | keep in mind that my locker is number 12 | fact=my locker is number 12
remember | please note: the landlord's name is Weber | fact=the landlord's name is Weber
remember | remember, our anniversary is on 9 June | fact=our anniversary is on 9 June
remember | for later: the spare key is under the pot | fact=the spare key is under the pot
compute | what is 45 - 18 | expression=45 - 18
compute | work out 12 * (3 + 4) | expression=12 * (3 + 4)
compute | compute 1024 / 16 for me | expression=1024 / 16
compute | 99 + 101 is how much | expression=99 + 101
list_folder | what files do I have in the folder invoices | folder=invoices
list_folder | list /home/ann/music | folder=/home/ann/music
list_folder | show me everything inside the directory projects | folder=projects
list_folder | name the files in my pictures folder | folder=pictures
write_file | put the words see you soon into card.txt | path=card.txt; text=see you soon
write_file | make a file list.md with the text eggs and flour | path=list.md; text=eggs and flour
write_file | write all is well to log.txt | path=log.txt; text=all is well
write_file | save good morning in hello.md | path=hello.md; text=good morning
recall | what was the number of my locker | question=the number of my locker
recall | what is the name of my landlord | question=the name of my landlord
recall | where is the spare key | question=the spare key
recall | when is our anniversary | question=our anniversary
remind | remind me at noon to call the bank | when=at noon; what=call the bank
remind | tell me every evening to lock the door | when=every evening; what=lock the door
remind | on Monday at 8 remind me of the meeting | when=on Monday at 8; what=the meeting
remind | wake me tomorrow at six | when=tomorrow at six; what=wake me
send_mail | send Paul a mail that the parcel has arrived | to=Paul; text=the parcel has arrived
send_mail | email my sister that I will be there at 5 | to=my sister; text=I will be there at 5
send_mail | write an e-mail to eva@example.org saying thank you | to=eva@example.org; text=thank you
send_mail | let Tom know by mail that dinner is at 7 | to=Tom; text=dinner is at 7
""")

FRESH: Final = _read("""
read_file | could you quote chapter1.txt to me | path=chapter1.txt
read_file | have a look at /srv/app/settings.yaml and tell me its text | path=/srv/app/settings.yaml
read_file | display ~/notes/ideas.md | path=~/notes/ideas.md
read_file | what did I put in packing.txt | path=packing.txt
fetch_page | grab https://shop.example.com/prices for me | url=https://shop.example.com/prices
fetch_page | what is on the front page of http://lemonde.fr | url=http://lemonde.fr
fetch_page | pull up www.python.org/about | url=www.python.org/about
fetch_page | I want to read https://arxiv.org/abs/1234 | url=https://arxiv.org/abs/1234
tell_time | do you know the time in Nairobi | place=Nairobi
tell_time | what does the clock say in Lisbon | place=Lisbon
tell_time | is it past midnight in Seoul yet | place=Seoul
tell_time | today's date in Honolulu | place=Honolulu
remember | make a note: Eva's shoe size is 38 | fact=Eva's shoe size is 38
remember | the alarm code is 4471, please remember it | fact=the alarm code is 4471
remember | you should know that I am allergic to nuts | fact=I am allergic to nuts
remember | save this for me: my passport expires in June | fact=my passport expires in June
compute | give me 144 / 12 | expression=144 / 12
compute | what do you get for 7 * (8 - 3) | expression=7 * (8 - 3)
compute | 250 - 75 + 10 equals what | expression=250 - 75 + 10
compute | solve 3.5 + 2.25 | expression=3.5 + 2.25
list_folder | what have I got under ~/videos | folder=~/videos
list_folder | give me an overview of the folder taxes | folder=taxes
list_folder | contents of the directory /opt/data please | folder=/opt/data
list_folder | which documents are stored in my folder school | folder=school
write_file | note down call the plumber in chores.txt | path=chores.txt; text=call the plumber
write_file | put 'closed on Sunday' in sign.txt | path=sign.txt; text=closed on Sunday
write_file | I need a file names.txt containing Anna and Ben | path=names.txt; text=Anna and Ben
write_file | overwrite draft.md with start again | path=draft.md; text=start again
recall | what size are Eva's shoes | question=size are Eva's shoes
recall | when does my passport run out | question=my passport run out
recall | what am I allergic to | question=am I allergic to
recall | can you tell me the alarm code | question=the alarm code
remind | in two hours tell me to turn off the oven | when=in two hours; what=turn off the oven
remind | don't let me forget the dentist on Thursday | when=on Thursday; what=the dentist
remind | set an alarm for 6:30 to go running | when=6:30; what=go running
remind | nudge me every Sunday to call mum | when=every Sunday; what=call mum
send_mail | drop Julia a line that the meeting is moved | to=Julia; text=the meeting is moved
send_mail | mail to max@firm.de: the invoice is paid | to=max@firm.de; text=the invoice is paid
send_mail | can you write Peter an email that says good luck | to=Peter; text=good luck
send_mail | forward happy new year to my aunt by email | to=my aunt; text=happy new year
""")

# Several steps each, over the files of ``FILES``; what the answer has to be, or to have. Written
# before any of them was tried.
LONGER: Final[tuple[tuple[str, Any], ...]] = (
    ("which file in {n} is the longest?", "todo.md"),
    ("how many words are in all files of {n} together?", 21),
    ("which file in {n} is the smallest?", "index.txt"),
    ("how large are all files in {n} together?", 104),
    ("what does the file say that {n}/index.txt names?", "milk and bread"),
    ("how many lines do {n}/todo.md and {n}/jan.csv have together?", 6),
    ("which is larger, {n}/todo.md or {n}/plan.md?", "todo.md"),
    ("find the file in {n} that mentions bread and show me what it says", "milk and bread"),
    ("what is the phone number in the file of {n} that mentions Ann's name?", "555 0199"),
    ("what is the first line of the largest file in {n}?", "buy milk"),
)
