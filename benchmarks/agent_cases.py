"""What the agent is measured with: ten tools, and requests for them.

Four for each tool: ``KNOWN`` are the requests that the rules were made with. ``NEW`` were new once;
what they showed was put right. ``FRESH``, in other words, were written before anything was measured
on them. ``OTHER`` are requests for ten tools of other kinds (OTHER_TOOLS), written in the same way.
By these four was chosen what counts for how much; ``agent_later`` has sets that came later.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tool(NamedTuple):
    """A tool as a person or a server describes it."""

    about: str
    parameters: dict[str, str]  # name -> what it is
    example: str  # a request for it
    call: dict[str, str]  # the arguments of the example
    schema: Mapping[str, Mapping[str, Any]] = MappingProxyType({})  # of parameters, as in MCP


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


def read_requests(lines: str) -> tuple[Request, ...]:
    """Return the requests of a table: a tool, a request for it, its arguments."""
    found = []
    for line in lines.strip().splitlines():
        tool, text, given = (part.strip() for part in line.split("|"))
        pairs = (pair.strip().partition("=") for pair in given.split(";"))
        found.append(Request(text, tool, {name: value for name, _, value in pairs}))
    return tuple(found)


KNOWN: Final = read_requests("""
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

NEW: Final = read_requests("""
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

FRESH: Final = read_requests("""
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

# Ten tools of other kinds, and four requests for each, written before any was measured.
OTHER_TOOLS: Final = {
    "get_weather": Tool(
        "Get the weather forecast for a place.",
        {"place": "the place"},
        "What is the weather in Oslo?",
        {"place": "Oslo"},
    ),
    "add_event": Tool(
        "Add an event to the calendar.",
        {"title": "what it is", "date": "the day"},
        "Put the concert into my calendar for Friday",
        {"title": "the concert", "date": "Friday"},
    ),
    "list_events": Tool(
        "List the events of a day in the calendar.",
        {"date": "the day"},
        "What is on my calendar on Monday?",
        {"date": "Monday"},
    ),
    "translate_text": Tool(
        "Translate a text into another language.",
        {"text": "the text", "language": "the other language"},
        "How do you say good morning in Italian?",
        {"text": "good morning", "language": "Italian"},
    ),
    "play_music": Tool(
        "Play music by an artist, or a song.",
        {"query": "artist or song"},
        "Play something by Mozart",
        {"query": "Mozart"},
    ),
    "set_light": Tool(
        "Switch the lights of a room on or off, or dim them.",
        {"room": "the room"},
        "Turn on the light in the kitchen",
        {"room": "the kitchen"},
    ),
    "get_route": Tool(
        "Find the way from one place to another.",
        {"start": "where from", "destination": "where to"},
        "How do I get from Bonn to Kiel?",
        {"start": "Bonn", "destination": "Kiel"},
    ),
    "convert_money": Tool(
        "Convert an amount of money from one currency to another.",
        {"amount": "the amount and its currency", "currency": "the currency to convert to"},
        "How many euros are 20 dollars?",
        {"amount": "20 dollars", "currency": "euros"},
    ),
    "find_contact": Tool(
        "Look up the phone number or the address of a person.",
        {"name": "the person"},
        "What is Anna's phone number?",
        {"name": "Anna"},
    ),
    "start_timer": Tool(
        "Start a timer for a length of time.",
        {"duration": "how long"},
        "Set a timer for ten minutes",
        {"duration": "ten minutes"},
    ),
}

OTHER: Final = read_requests("""
get_weather | will it rain in Dublin tomorrow | place=Dublin
get_weather | do I need a coat in Helsinki today | place=Helsinki
get_weather | how hot is it going to be in Madrid | place=Madrid
get_weather | is there any snow in Innsbruck at the moment | place=Innsbruck
add_event | schedule lunch with Sam on Wednesday | title=lunch with Sam; date=on Wednesday
add_event| block Tuesday afternoon for the tax return | title=the tax return; date=Tuesday afternoon
add_event | I have a haircut on 4 March, enter it | title=a haircut; date=on 4 March
add_event | new appointment: vet, 12 May | title=vet; date=12 May
list_events | am I free on Saturday | date=on Saturday
list_events | what have I got planned for tomorrow | date=tomorrow
list_events | show my appointments of next Thursday | date=next Thursday
list_events | do I have any meetings today | date=today
translate_text | what does "merci beaucoup" mean in English | text=merci beaucoup; language=English
translate_text|put "where is the station" into Spanish|text=where is the station; language=Spanish
translate_text | say "I love you" in Japanese | text=I love you; language=Japanese
translate_text| I need "the bill, please" in Portuguese | text=the bill, please; language=Portuguese
play_music | put on some jazz | query=jazz
play_music | I would like to hear Yesterday by the Beatles | query=Yesterday by the Beatles
play_music | start my workout playlist | query=my workout playlist
play_music | listen to Nina Simone | query=Nina Simone
set_light | it is too dark in the hallway | room=the hallway
set_light | switch off everything in the bedroom | room=the bedroom
set_light | make the living room brighter | room=the living room
set_light | lamps out in the study please | room=the study
get_route | what is the quickest way from here to the airport | start=here; destination=the airport
get_route | directions to the Central Park Zoo | destination=the Central Park Zoo
get_route | how far is it from Leeds to York by car | start=Leeds; destination=York
get_route | take me from the station to the museum | start=the station; destination=the museum
convert_money | what is 50 pounds in yen | amount=50 pounds; currency=yen
convert_money | exchange 300 kroner to euros | amount=300 kroner; currency=euros
convert_money | how much is 99.90 dollars in francs | amount=99.90 dollars; currency=francs
convert_money | 1200 rupees, what is that in dollars | amount=1200 rupees; currency=dollars
find_contact | do you have an address for Mr. Lopez | name=Mr. Lopez
find_contact | how can I reach my landlord | name=my landlord
find_contact | look up the number of the pharmacy | name=the pharmacy
find_contact | where does Julia live | name=Julia
start_timer | wake me up after a 20 minute nap | duration=20 minute
start_timer | count down five minutes | duration=five minutes
start_timer | tell me when 45 seconds are over | duration=45 seconds
start_timer | the eggs need six minutes | duration=six minutes
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
