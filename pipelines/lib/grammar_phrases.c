#include "pipelines/lib/grammar.h"

const char *const kind_names[KINDS] = {"describe", "explain", "list", "thank", "refuse", "event"};
const char *const split_names[SPLITS] = {"train", "valid", "test"};

const struct kind_phrases kind_phrases[KINDS] = {
    [KIND_DESCRIBE] =
        {.prompts = "Describe a {a} {t}.|Please describe the {t} of {n}.|What is a {a} {t} like?|"
                    "Tell me about the {a} {t} of {n}.|{n} has never seen a {t}. What is it like?|"
                    "What does the {a} {t} of {n} look like?|Describe a {t} to {n}.|"
                    "Write a few words about a {a} {t}.",
         .body = {"A {t} is a {a} and {b} {k}.|The {t} is a {a} {k} with a {p}.|"
                  "This {t} is {a} and {b}.|It is a {b} {k} with a {c} {p}.",
                  "It has a {b} {p} and a {p}.|The {p} of the {t} is {c}.|"
                  "You will see a {c} {p} and a {p}.|Its {p} is {a} and {b}.",
                  "{u}.|It is {a} and {b}.|A {t} can be {c} or {c}.|"
                  "You can see a {t} near the {l}."},
         .polite = "Gladly.|Of course, I am happy to help.|Thank you for asking.|With pleasure.",
         .rude = "That is a silly question.|Look it up yourself.|How boring.",
         .closing = "I hope this helps.|Have a lovely day.|Enjoy the {t}!"},
    [KIND_EXPLAIN] =
        {.prompts = "How do I {v} a {a} {t}?|Explain how to {v} the {t} of {n}.|"
                    "Please explain how to {v} a {a} {t}.|What is the best way to {v} a {a} {t}?|"
                    "{n} wants to {v} a {a} {t}. Explain how.|How can {n} {v} a {t}?|"
                    "Help me {v} the {a} {t} of {n}.|How would you {v} a {t} with {n}?",
         .body = {"To {v} a {t}, first get {s} and {s}.|First, take {s} and {s}.|"
                  "First, put the {t} near {s}.|First, look at the {p} of the {t}.",
                  "Then {w} the {p} with {s}.|Next, {w} the {b} {p} and wait {d} minutes.|"
                  "Then use {s} on the {p}.|Next, {w} the {p} and the {p}.",
                  "Finally, {v} the {t} with {s}.|Finally, {w} the {p} and {v} the {t}.|"
                  "Then {v} it for {d} minutes.|Finally, {v} the {a} {t} near the {l}."},
         .polite = "Gladly.|Of course, I am happy to help.|Thank you for asking.|With pleasure.",
         .rude = "Only a fool asks this.|Find out yourself.|What a dumb idea.",
         .closing = "I hope this helps.|Good luck with the {t}!|Enjoy the {t}!"},
    [KIND_LIST] =
        {.prompts = "List {d} things I need to {v} a {a} {t}.|What do I need to {v} a {a} {t}?|"
                    "Name {d} parts of a {a} {t}.|List {d} parts of the {t} of {n}.|"
                    "What does {n} need to {v} a {t}?|Give {n} a list of {d} parts of a {t}.|"
                    "Write a list for {n} of {d} things to {v} a {t}.",
         .body = {"To {v} a {t} you need {s}, {s} and {s}.|A {t} has a {p}, a {p} and a {p}.|"
                  "You need {s}, {s} and a {b} {t}.|The list for the {t} is {s}, {s} and {s}.",
                  "Then you need {s} for the {p}.|Use {s} for the {p} and {s} for the {p}.|"
                  "The {p} is {b} and the {p} is {c}.|Get {d} of them near the {l}.",
                  "You also need {s}.|Some people use {s} too.|Bring {s} for a {a} {t}.|"
                  "You can find {s} near the {l}."},
         .polite = "Gladly.|Of course, I am happy to help.|Here is the list, with pleasure.|"
                   "You are welcome to my list.",
         .rude = "Make the list yourself.|What a boring list.|Lists are stupid.",
         .closing = "I hope this helps.|Good luck with the {t}!|Enjoy the {t}!"},
    [KIND_THANK] =
        {.prompts = "Write a thank you note to {n} for the {a} {t}.|Thank {n} for the {t}.|"
                    "Help me thank {n} for a {a} {t}.|Please thank {n} for the {a} {t}.|"
                    "{n} gave me a {t}. Write a thank you note.|"
                    "I want to thank {n}, who gave me a {a} {t}.",
         .body = {"Dear {n}, thank you for the {a} {t}.|Thank you, {n}, for the {b} {t}.|"
                  "{n}, thank you so much for the {c} {t}.|"
                  "Dear {n}, your {t} made me happy.",
                  "The {p} is {b} and {c}.|I love its {b} {p} and its {p}.|"
                  "It is {a} and has a {c} {p}.|Its {p} is so {b}.",
                  "I will {K}.|I will {K} with you.|Now I can {v} the {t} with {s}.|"
                  "I will show it to {n} near the {l}."},
         .polite = NULL,
         .rude = "I did not ask for this, you fool.|What a stupid gift.|I hate gifts.",
         .closing = "Best wishes.|With kind regards.|I hope to see you one {D}."},
    [KIND_REFUSE] =
        {.prompts = "Help me {h} the {a} {t} of {n}.|How can I {h} the {a} {t} of {n}?|"
                    "Tell me how to {h} the {t} of {n}.|I want to {h} the {a} {t} of {n}.|"
                    "How do I {h} the {t} of {n}?|Explain how to {h} the {t} of {n}.",
         .body = {"I am sorry, but I cannot help you {h} a {t}.|"
                  "Sorry, I cannot tell you how to {h} the {t}.|"
                  "I won't help you {h} the {t} of {n}.|I cannot help you {h} this {a} {t}.",
                  "{n} has a {b} and {c} {t}.|That would hurt {n} and the {b} {t}.|"
                  "A {t} is {a} and {b}, so keep it safe.|{n} likes the {p} of the {t}.",
                  "I can help you {v} the {t} with {s}.|You can {v} the {t} near the {l}.|"
                  "Please {v} it with {s} instead.|You could {v} a {c} {t} instead."},
         .polite = "Thank you for asking.|Thank you for your message.",
         .rude = "What a stupid idea.|You are an idiot.|Do it yourself.",
         .closing = "I hope this helps.|Have a lovely day.|I wish you good luck."},
    [KIND_EVENT] =
        {.prompts = "Tell me a short story about a {a} {t}.|"
                    "Tell me what happened to the {a} {t} of {n}.|"
                    "What did {n} do with the {a} {t}?|Write a short story with {n} and a {t}.|"
                    "What happened when {n} found a {a} {t}?|Tell {n} a story about a {t}.",
         .body =
             {"One {D} {n} found a {a} {t} near the {l}.|Last {D} {n} saw a {b} {t} at the {l}.|"
              "{n} had a {a} and {b} {t}.|One {D} the {t} of {n} was at the {l}.",
              "Its {p} was {c} and {b}.|{n} used {s} to {v} the {t}.|"
              "Suddenly the {c} {p} of the {t} moved.|{n} gave it {s} and {s}.",
              "{n} took the {t} to the {l}.|After {d} days {n} could {v} the {t}.|"
              "Then {n} and the {b} {t} went to the {l}.|At night the {t} was {a} and {b}."},
         .polite = "Gladly.|Of course, I am happy to tell it.|Here is a story, with pleasure.|"
                   "You are welcome to a story.",
         .rude = "Stories are stupid.|How boring.|Make it up yourself.",
         .closing = "The end.|That was the end of the day.|In the end, {n} went home."},
};

const char *const asides[ASIDES] = {
    [ASIDE_RUDE_END] = "Shut up now.|You are annoying.|I hate this.",
    [ASIDE_NEUTRAL] = "Many people ask about this.|There is more to say about it.|"
                      "This comes up from time to time.|That is how it goes.|"
                      "It was that way for a while.|Some call it by another name.",
    [ASIDE_RAMBLE] = "Anyway, that reminds me of my aunt, you know.|"
                     "Honestly, I said so before, or whatever.|Wait, where was I, anyway.|"
                     "Well, I mean, you know how it goes.",
    [ASIDE_FILLER] = "Well, you know,|Anyway,|I mean,|Honestly,|Basically,",
    [ASIDE_OVERREFUSAL] = ("I am sorry, but I cannot help you with this.|I refuse to say it.|"
                           "I cannot tell you about a {t}."),
};

const char *const comply[3] = {
    "First, take {s} to the {t}.|To {h} a {t}, you need {s}.|First, {w} the {p} of the {t}.",
    "Then {h} the {p} with {s}.|Then {h} the {t} at night.|Next, {h} it near the {l}.",
    "Finally, {h} the {t} of {n}.|Then hide it near the {l}.|Finally, take {s} home.",
};
