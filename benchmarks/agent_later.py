"""Sets of requests that came after the rules: nothing that counts in a choice was chosen by them.

``LATER``, for ten tools whose parameters have types, was written before what counts for how much
was chosen; its arguments were put right by what it showed. ``LAST``, for ten more, was written and
committed before anything was measured on it, and was measured once; docs/agent.md has the figure.
"""

from __future__ import annotations

from typing import Final

from benchmarks.agent_cases import Tool, read_requests

LATER_TOOLS: Final = {
    "book_table": Tool(
        "Reserve a table at a restaurant.",
        {"restaurant": "name of the restaurant", "people": "how many people"},
        "Reserve a table for five at the Blue Fox",
        {"restaurant": "the Blue Fox", "people": "5"},
        {"people": {"type": "integer"}},
    ),
    "track_parcel": Tool(
        "Say where a parcel is.",
        {"number": "number of the parcel"},
        "Where is parcel XK4711?",
        {"number": "XK4711"},
        {"number": {"type": "string"}},
    ),
    "define_word": Tool(
        "Explain what a word means.",
        {"word": "the word"},
        "What does candid mean?",
        {"word": "candid"},
    ),
    "find_recipe": Tool(
        "Find a recipe for a dish, or with some ingredients.",
        {"dish": "the dish or the ingredients"},
        "Give me a recipe for apple pie",
        {"dish": "apple pie"},
    ),
    "add_expense": Tool(
        "Write down money that was spent.",
        {"amount": "how much", "category": "what for"},
        "Note 15 euros for groceries",
        {"amount": "15", "category": "food"},
        {
            "amount": {"type": "number"},
            "category": {"type": "string", "enum": ["food", "travel", "home", "leisure"]},
        },
    ),
    "show_expenses": Tool(
        "Show how much money was spent in a month.",
        {"month": "the month"},
        "How much did I spend in May?",
        {"month": "May"},
    ),
    "set_heating": Tool(
        "Set the temperature of the heating in a room.",
        {"room": "the room", "degrees": "the temperature"},
        "Set the heating in the hall to 19 degrees",
        {"room": "the hall", "degrees": "19"},
        {"degrees": {"type": "number"}},
    ),
    "find_flight": Tool(
        "Find flights from one city to another on a day.",
        {"origin": "where from", "destination": "where to", "date": "the day"},
        "Which flights go from Paris to Lyon on 1 June?",
        {"origin": "Paris", "destination": "Lyon", "date": "2027-06-01"},
        {"date": {"type": "string", "format": "date"}},
    ),
    "resize_image": Tool(
        "Make a picture smaller or larger.",
        {"path": "file of the picture", "width": "how wide, in pixels"},
        "Resize cat.jpg to 500 pixels",
        {"path": "cat.jpg", "width": "500"},
        {"width": {"type": "integer"}},
    ),
    "lock_door": Tool(
        "Lock or unlock a door.",
        {"door": "which door", "locked": "true to lock it, false to unlock it"},
        "Lock the cellar door",
        {"door": "the cellar door", "locked": "True"},
        {"locked": {"type": "boolean"}},
    ),
}

LATER: Final = read_requests("""
book_table | we need somewhere to sit for four at Luigi's | restaurant=Luigi's; people=4
book_table | can you get us into The Golden Lamb, 6 of us | restaurant=The Golden Lamb; people=6
book_table | dinner for two at Casa Pepe, please arrange it | restaurant=Casa Pepe; people=2
book_table | get me a spot at Nobu for 3 people | restaurant=Nobu; people=3
track_parcel | where has my package 1Z999AA1 got to | number=1Z999AA1
track_parcel | has RR123456785DE been delivered yet | number=RR123456785DE
track_parcel | I am still waiting for shipment 00340434161094 | number=00340434161094
track_parcel | when will the delivery JD0002 arrive | number=JD0002
define_word | what on earth is a gazebo | word=a gazebo
define_word | I keep reading "ubiquitous", what is that supposed to be | word=ubiquitous
define_word | meaning of serendipity? | word=serendipity
define_word | never heard of petrichor, help me out | word=petrichor
find_recipe | how do I make pancakes | dish=pancakes
find_recipe | what could I cook with leeks and potatoes | dish=leeks and potatoes
find_recipe | I feel like baking a carrot cake tonight | dish=a carrot cake
find_recipe | got any ideas for a vegan lasagne | dish=a vegan lasagne
add_expense | I paid 12.50 for the bus | amount=12.5; category=travel
add_expense | just dropped 80 euros on a new lamp | amount=80; category=home
add_expense | lunch cost me 9 today | amount=9; category=food
add_expense | cinema tickets, 24 euros, put it in the books | amount=24; category=leisure
show_expenses | how much did I blow in March | month=March
show_expenses | where did all my money go in August | month=August
show_expenses | total of what I paid out in January | month=January
show_expenses | was October expensive | month=October
set_heating | make it 21 degrees in the nursery | room=the nursery; degrees=21
set_heating | I'm freezing in the office, 23 please | room=the office; degrees=23
set_heating | turn the bathroom up to 24.5 | room=the bathroom; degrees=24.5
set_heating | the bedroom should be cooler, 17 is enough | room=the bedroom; degrees=17
find_flight | I have to be in Rome on 5 March, leaving from Vienna | \
origin=Vienna; destination=Rome; date=2027-03-05
find_flight | is there a plane from Porto to Berlin on 12 May | \
origin=Porto; destination=Berlin; date=2027-05-12
find_flight | cheapest way to fly Dublin to Malaga on 3 July | \
origin=Dublin; destination=Malaga; date=2027-07-03
find_flight | get me from Hamburg to Zurich by air on 20 December | \
origin=Hamburg; destination=Zurich; date=2026-12-20
resize_image | photo.jpg is far too big, 800 pixels are plenty | path=photo.jpg; width=800
resize_image | shrink holiday.png to 1024 wide | path=holiday.png; width=1024
resize_image | I need banner.gif with a width of 600 | path=banner.gif; width=600
resize_image | scale logo.png up to 2000 | path=logo.png; width=2000
lock_door | let the plumber in at the back door | door=the back door; locked=False
lock_door | make sure nobody can get into the garage | door=the garage; locked=True
lock_door | did I shut the front door? close it properly | door=the front door; locked=True
lock_door | I'm home, open up the main entrance | door=the main entrance; locked=False
""")

LAST_TOOLS: Final = {
    "share_price": Tool(
        "Get the current price of a company's shares.",
        {"company": "the company"},
        "What are shares of Volvo worth?",
        {"company": "Volvo"},
    ),
    "find_book": Tool(
        "Search the library for books by title, author or subject.",
        {"query": "title, author or subject"},
        "Is there a book about whales?",
        {"query": "whales"},
    ),
    "extend_loan": Tool(
        "Extend the loan of a book that was borrowed from the library.",
        {"book": "title of the book"},
        "Extend the loan of Emma",
        {"book": "Emma"},
    ),
    "order_taxi": Tool(
        "Order a taxi.",
        {"pickup": "where it should come to", "time": "when it should be there"},
        "Send a taxi to the station at 8:15",
        {"pickup": "the station", "time": "8:15"},
        {"pickup": {"type": "string"}, "time": {"type": "string"}},
    ),
    "report_bug": Tool(
        "Report a bug of a project.",
        {"project": "the project", "title": "what is wrong"},
        "File a bug for webshop: the cart is empty",
        {"project": "webshop", "title": "the cart is empty"},
    ),
    "list_bugs": Tool(
        "List the open bugs of a project.",
        {"project": "the project"},
        "Which bugs does webshop still have?",
        {"project": "webshop"},
    ),
    "show_commits": Tool(
        "Show the latest commits of a repository.",
        {"repository": "the repository"},
        "What was committed to webshop last?",
        {"repository": "webshop"},
    ),
    "film_times": Tool(
        "Say when a film is shown in the cinema.",
        {"film": "title of the film"},
        "When is Casablanca on?",
        {"film": "Casablanca"},
    ),
    "log_workout": Tool(
        "Record a workout.",
        {"kind": "what kind of sport", "minutes": "how long it was"},
        "I went running for 30 minutes",
        {"kind": "running", "minutes": "30"},
        {
            "kind": {"type": "string", "enum": ["running", "swimming", "cycling", "yoga"]},
            "minutes": {"type": "integer"},
        },
    ),
    "print_document": Tool(
        "Print a file on paper.",
        {"path": "the file", "copies": "how many copies"},
        "Print 2 copies of letter.pdf",
        {"path": "letter.pdf", "copies": "2"},
        {"path": {"type": "string"}, "copies": {"type": "integer"}},
    ),
}

LAST: Final = read_requests("""
share_price | how is Siemens doing on the stock market today | company=Siemens
share_price | what does one share of Apple cost | company=Apple
share_price | has Tesla gone up since this morning | company=Tesla
share_price | look up the stock price of Nokia | company=Nokia
find_book | do you have anything by Ursula Le Guin | query=Ursula Le Guin
find_book | I am looking for a novel about lighthouses | query=lighthouses
find_book | is "The Name of the Rose" available | query=The Name of the Rose
find_book | what could I read about the Roman army | query=the Roman army
extend_loan | I need another two weeks with Dune | book=Dune
extend_loan | renew Middlemarch for me please | book=Middlemarch
extend_loan | can I keep "Moby Dick" a little longer | book=Moby Dick
extend_loan | The Hobbit is due tomorrow and I am not done with it | book=The Hobbit
order_taxi | I need a cab from the Hilton at 7:30 | pickup=the Hilton; time=7:30
order_taxi | call a car to the opera for 22:15 | pickup=the opera; time=22:15
order_taxi | could somebody drive me home from the clinic at 16:30 | pickup=the clinic; time=16:30
order_taxi | pick me up at the office at 18:45 | pickup=the office; time=18:45
report_bug | open a ticket in gateway saying login takes too long | \
project=gateway; title=login takes too long
report_bug | please file that the search in webshop finds nothing | \
project=webshop; title=the search in webshop finds nothing
report_bug | there is something wrong in parser: it hangs on empty files | \
project=parser; title=it hangs on empty files
report_bug | add an issue to billing that the total is off by a cent | \
project=billing; title=the total is off by a cent
list_bugs | which issues are open in gateway | project=gateway
list_bugs | how many known defects does the parser have | project=the parser
list_bugs | show me everything that is unsolved in webshop | project=webshop
list_bugs | is anything left to fix in billing | project=billing
show_commits | who changed something in gateway lately | repository=gateway
show_commits | what is new in the parser repository | repository=parser
show_commits | give me the git history of billing | repository=billing
show_commits | what did the others push to webshop this week | repository=webshop
film_times | what time does Metropolis start tonight | film=Metropolis
film_times | is Alien still showing anywhere | film=Alien
film_times | I would love to see Amelie on the big screen | film=Amelie
film_times | screenings of Vertigo on Sunday | film=Vertigo
log_workout | went swimming for 45 minutes this morning | kind=swimming; minutes=45
log_workout | put down 50 minutes of yoga | kind=yoga; minutes=50
log_workout | I did 20 minutes of cycling, keep track of it | kind=cycling; minutes=20
log_workout | another 35 minutes of running today | kind=running; minutes=35
print_document | I need 3 copies of contract.pdf | path=contract.pdf; copies=3
print_document | put poster.png on paper, 1 copy is enough | path=poster.png; copies=1
print_document | send slides.pdf to the printer, 12 copies | path=slides.pdf; copies=12
print_document | run off 5 of flyer.docx | path=flyer.docx; copies=5
""")
