#include "common/text/template_named.h"
#include <stddef.h>
#include <string.h>

#define CHATML                                                                                     \
    "{%- for m in messages %}\n"                                                                   \
    "{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}\n"                       \
    "{%- endfor %}\n"                                                                              \
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}"

// A system text where the messages have none.
#define CHATML_SYSTEM(text)                                                                        \
    "{%- if not messages or messages[0].role != 'system' %}\n"                                     \
    "{{- '<|im_start|>system\\n" text "<|im_end|>\\n' }}\n"                                        \
    "{%- endif %}\n" CHATML

// Thoughts before the last question are dropped; the last answer has one, if only an empty one.
static const char qwen3[] =
    "{%- set ns = namespace(question=messages|length - 1) %}\n"
    "{%- for m in messages %}{% if m.role == 'user' %}{% set ns.question = loop.index0 %}\n"
    "{%- endif %}{% endfor %}\n"
    "{%- for m in messages %}\n"
    "{{- '<|im_start|>' + m.role + '\\n' }}\n"
    "{%- if m.role == 'assistant' %}\n"
    "{%- set content = m.content %}{% set thought = m.reasoning_content|default('', true) %}\n"
    "{%- if not thought and '</think>' in content %}\n"
    "{%- set thought = content.split('</think>')[0].split('<think>')[-1] %}\n"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n"
    "{%- endif %}\n"
    "{%- set thought = thought.strip('\\n') %}\n"
    "{%- if loop.index0 > ns.question and (loop.last or thought) %}\n"
    "{{- '<think>\\n' + thought + '\\n</think>\\n\\n' + content.lstrip('\\n') }}\n"
    "{%- else %}{{- content }}{% endif %}\n"
    "{%- else %}{{- m.content }}{% endif %}\n"
    "{{- '<|im_end|>\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}\n"
    "{%- if enable_thinking is defined and enable_thinking is false %}\n"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}";

#define LLAMA3_TURNS                                                                               \
    "{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content|trim + "           \
    "'<|eot_id|>' }}\n"                                                                            \
    "{%- endfor %}\n"                                                                              \
    "{%- if add_generation_prompt %}\n"                                                            \
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"

static const char llama3[] = "{{- '<|begin_of_text|>' }}\n"
                             "{%- for m in messages %}\n" LLAMA3_TURNS;

// The system turn is always there and begins with two dates.
static const char llama3_dated[] =
    "{%- set first = messages and messages[0].role == 'system' %}\n"
    "{{- '<|begin_of_text|><|start_header_id|>system<|end_header_id|>\\n\\n' }}\n"
    "{{- 'Cutting Knowledge Date: December 2023\\nToday Date: ' }}\n"
    "{{- date_string|default(strftime_now('%d %b %Y')) + '\\n\\n' }}\n"
    "{%- if first %}{{- messages[0].content|trim }}{% endif %}\n"
    "{{- '<|eot_id|>' }}\n"
    "{%- for m in (messages[1:] if first else messages) %}\n" LLAMA3_TURNS;

#define ALTERNATE                                                                                  \
    "{%- set first = messages and messages[0].role == 'system' %}\n"                               \
    "{%- set system = messages[0].content if first else '' %}\n"                                   \
    "{%- set turns = messages[1:] if first else messages %}\n"                                     \
    "{%- for m in turns %}\n"                                                                      \
    "{%- if m.role != ['user', 'assistant'][loop.index0 % 2] %}\n"                                 \
    "{{- raise_exception('roles must alternate user, assistant; drop the row or choose another "   \
    "template') }}{% endif %}\n"                                                                   \
    "{%- endfor %}\n"

static const char llama2[] =
    ALTERNATE "{%- for m in turns %}\n"
              "{%- if m.role == 'user' %}\n"
              "{%- set text = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + m.content if first and "
              "loop.first else m.content %}\n"
              "{{- '<s>[INST] ' + text.strip() + ' [/INST]' }}\n"
              "{%- else %}{{- ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}\n"
              "{%- endfor %}";

// The system text goes in front of the first question or the last.
#define MISTRAL(open, close, answer, question)                                                     \
    ALTERNATE "{%- set at = namespace(first=-1, last=-1) %}\n"                                     \
              "{%- for m in turns %}{% if m.role == 'user' %}\n"                                   \
              "{%- if at.first < 0 %}{% set at.first = loop.index0 %}{% endif %}\n"                \
              "{%- set at.last = loop.index0 %}{% endif %}{% endfor %}\n"                          \
              "{{- '<s>' }}\n"                                                                     \
              "{%- for m in turns %}\n"                                                            \
              "{%- if m.role == 'assistant' %}{{- " answer " + eos_token }}\n"                     \
              "{%- else %}\n"                                                                      \
              "{{- '" open "' + (system + '\\n\\n' if first and loop.index0 == at." question       \
              " else '') + m.content + '" close "' }}{% endif %}\n"                                \
              "{%- endfor %}"

static const char zephyr[] = "{%- for m in messages %}\n"
                             "{{- '<|' + m.role + '|>\\n' + m.content + eos_token + '\\n' }}\n"
                             "{%- endfor %}\n"
                             "{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% endif %}";

// m.instruction and m.input are the parts of a request that has two.
static const char alpaca[] =
    "{%- set first = messages and messages[0].role == 'system' %}\n"
    "{%- set turns = messages[1:] if first else messages %}\n"
    "{%- set input = turns and turns[0].input is defined %}\n"
    "{%- if first %}{{- messages[0].content }}{% elif input %}\n"
    "{{- 'Below is an instruction that describes a task, paired with an input that provides "
    "further context. Write a response that appropriately completes the request.' }}{% else %}\n"
    "{{- 'Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.' }}{% endif %}\n"
    "{%- for m in turns %}\n"
    "{%- if m.role == 'assistant' %}{{- '\\n\\n### Response:\\n' + m.content + eos_token }}\n"
    "{%- elif m.input is defined %}\n"
    "{{- '\\n\\n### Instruction:\\n' + m.instruction + '\\n\\n### Input:\\n' + m.input }}\n"
    "{%- else %}{{- '\\n\\n### Instruction:\\n' + m.content }}{% endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '\\n\\n### Response:\\n' }}{% endif %}";

// The blank after "Assistant:" is the answer's, as in Anthropic's data.
static const char hh[] =
    "{%- for m in messages %}\n"
    "{%- if m.role == 'assistant' %}{{- '\\n\\nAssistant: ' + m.content + eos_token }}\n"
    "{%- elif m.role == 'user' %}{{- '\\n\\nHuman: ' + m.content }}\n"
    "{%- else %}{{- ('' if loop.first else '\\n\\n') + m.content }}{% endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '\\n\\nAssistant:' }}{% endif %}";

static const struct {
    const char *name, *source;
} templates[] = {
    {"chatml", CHATML},
    {"qwen2", CHATML_SYSTEM("You are a helpful assistant.")},
    {"qwen2.5",
     CHATML_SYSTEM("You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")},
    {"qwen3", qwen3},
    {"llama3", llama3},
    {"llama3.1", llama3_dated},
    {"llama3.2", llama3_dated},
    {"llama2", llama2},
    {"mistral", MISTRAL("[INST] ", " [/INST]", "m.content", "first")},
    {"mistral-v1", MISTRAL(" [INST] ", " [/INST]", "' ' + m.content", "first")},
    {"mistral-v3", MISTRAL("[INST] ", "[/INST]", "' ' + m.content|trim", "last")},
    {"mistral-tekken", MISTRAL("[INST]", "[/INST]", "m.content", "last")},
    {"zephyr", zephyr},
    {"smollm2",
     CHATML_SYSTEM("You are a helpful AI assistant named SmolLM, trained by Hugging Face")},
    {"alpaca", alpaca},
    {"hh", hh},
};

const char *template_named(const char *name) {
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++)
        if (!strcmp(templates[i].name, name)) return templates[i].source;
    return NULL;
}

const char *template_names(void) {
    return "chatml, qwen2, qwen2.5, qwen3, llama3, llama3.1, llama3.2, llama2, mistral, "
           "mistral-v1, "
           "mistral-v3, mistral-tekken, zephyr, smollm2, alpaca, hh";
}
