"""What language models say around a caption: openings, refusals, their instructions, claims.

Both the rules on captions and the cleaning of answers look for these. Every pattern is anchored or
bounded, so that a text of any length takes linear time; what stands in quotation marks is text in
the picture or speech, and is not looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from videoprep.validators.sentences import unquoted


@dataclass(frozen=True, slots=True)
class Phrases:
    """Phrases that are looked for anywhere in a caption."""

    pattern: re.Pattern[str]
    """All of them."""
    hints: tuple[str, ...]
    """Words in lower case, one of which is in each of them: most captions have none, and saying
    so takes a tenth of the time."""

    def find(self, caption: str) -> str | None:
        """Return the first of the phrases that stands outside of quotation marks, or None."""
        lower = caption.lower()
        if not any(hint in lower for hint in self.hints):
            return None
        found = self.pattern.search(caption)
        if found is not None and any(mark in caption for mark in "\"'“«„「‘"):
            found = self.pattern.search(unquoted(caption))
        return found.group().strip(" .,:;!?\n") if found else None


_VIDEO = (
    r"(?:(?:short|brief|given|provided|entire|whole|looping|silent|video|animated|film) ){0,2}"
    r"(?:video(?: clip| footage| sequence)?|clip|footage|sequence|animation|film clip|montage"
    r"|images?|frames?|pictures?|scene)"
)
_SHOWS = (
    r"(?:shows|show|showcases|showcase|depicts|depict|captures|capture|features|feature|presents"
    r"|present|displays|display|portrays|portray|illustrates|illustrate|opens with|opens on"
    r"|opens to|opens up with|begins with|starts with|starts off with|is showing|is of|consists of)"
)
_NOT_A_CLAUSE = r"(?!(?:that|how|what|why|when|where|us|you|up|off)\b)"

# "The video shows a man" and "In this clip, we see a man"; what follows stands on its own.
OPENING = re.compile(
    rf"(?:(?:the|this) {_VIDEO} (?:clearly |mainly |primarily |simply |then )?{_SHOWS}:? "
    rf"{_NOT_A_CLAUSE}"
    rf"|in (?:the|this) {_VIDEO}, (?:(?:we|you|one) (?:can )?see |there (?:is|are) )?"
    rf"{_NOT_A_CLAUSE}"
    rf"|(?:here,? )?(?:we|you|one) (?:can )?(?:see|observe) {_NOT_A_CLAUSE})",
    re.IGNORECASE,
)
# "The video shows a man and then ends with": the rest would be no sentence without its subject.
_GOES_ON = re.compile(
    r"(?:,|\band|\bthen|\bbefore|\bwhile)\s+(?:then\s+|later\s+|also\s+|finally\s+)?"
    r"(?:ends?|ending|transitions?|cuts?|closes?|shifts?|switches|zooms?|pans?|moves|progresses"
    r"|continues|concludes|focuses|highlights|shows|showing|captures|capturing|depicts|depicting"
    r"|features|featuring|showcases|showcasing|emphasizing|highlighting|creating|conveying)\b",
    re.IGNORECASE,
)
_ABOUT_THE_VIDEO = Phrases(
    re.compile(
        rf"\b(?:(?:the|this) (?:short |brief |given |provided )?(?:video(?! game)|clip"
        rf"|footage)(?: clip)? "
        rf"(?:also |then |continues to )?(?:{_SHOWS}|ends|continues|concludes|transitions|has"
        rf"|is|appears"
        rf"|provides|highlights|focuses|seems)\b"
        rf"|(?:in|throughout|of|during) (?:the|this) (?:entire |whole "
        rf"|short )?(?:video(?! game)|clip|footage)\b"
        rf"|^(?:we|you) can see\b)",
        re.IGNORECASE,
    ),
    ("video", "clip", "footage", "we can see", "you can see"),
)  # fmt: skip

# "Here is a caption for the video:", or ended by a full stop; without one of these nouns it may be
# the caption itself.
PREFACE = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok|great|alright|yes)\b[,.!:]? )?"
    r"(?:(?:here(?:['’]s| is| are)|below (?:is|are)|the following is|this is|based on)\b"
    r"[^:.!\n]{0,120}?\b(?:captions?|descriptions?|prompts?|json|summary|answer|response|version"
    r"|rewrite|text|paragraph|sentence)\b[^:.!\n]{0,80}(?::|\n)"
    r"|here(?:['’]s| is) (?:a|an|the|your|my) (?:[\w-]{1,20} ){0,4}"
    r"(?:captions?|descriptions?|prompts?|version)\b[^:.!\n]{0,60}[.!](?=\s|$))",
    re.IGNORECASE,
)
AGREEING = re.compile(r"(?:sure|certainly|of course|absolutely|no problem)[,.!:] ", re.IGNORECASE)
LABEL = re.compile(
    r"(?:\*\*|#{1,6} ?)?(?:(?:the |final |video |short |dense |detailed |refined |revised "
    r"|rewritten"
    r" |modified |new |clip |english ){0,3}(?:caption|description|summary|answer|output|response"
    r"|prompt)|assistant|user|system|human)"
    r"(?: ?\d{1,2}| in english)?(?:\*\*)? ?:(?:\*\*)?\s",
    re.IGNORECASE,
)
CLOSING = re.compile(
    r"(?:(?<=[.!?\"”*] )|(?<=\n))\(?(?:please )?(?:let me know (?:if|whether)|i hope (?:this|that)"
    r"|feel free to|would you like (?:me|to)|if you(?:['’]d| would| need| want) "
    r"|hope this helps|\*{0,2}(?:word count|total words|words|note)\*{0,2}:)",
    re.IGNORECASE,
)

THINKING = re.compile(
    r"<(/?)(?:think|thinking|thought|thoughts|reasoning|reflection|analysis|scratchpad)\s{0,3}>"
    r"|◁(/?)think▷",
    re.IGNORECASE,
)
ANSWER_TAG = re.compile(
    r"</?(?:answer|caption|output|response|final|result)\s{0,3}>", re.IGNORECASE
)
CHAT_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_ ]{1,40}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</s>|<pad>|<eos>"
    r"|<bos>|<\uff5c[^<>\uff5c]{1,40}\uff5c>"
)
JSON_SHELL = re.compile(r"\[?\s{0,20}\{\s{0,20}[\"'“]?[\w -]{1,60}[\"'”]?\s{0,5}:")
FENCE = "```"

_TO_DO = (
    r"(?:help|assist|describe|identify|provide|generate|view|see|watch|access|process|analy[sz]e"
    r"|comply|create|fulfill?|continue|caption|do that|do this|recogni[sz]e|determine|comment"
    r"|engage|discuss|write|play|open|directly|actually|fully|answer|complete|proceed|respond)"
)
_CANNOT = r"(?:cannot|can['’]t|can not|could not|couldn['’]t|won['’]t|will not)"
_DO_NOT = r"do(?: not|n['’]t)"
_AI = (
    r"an? (?:large |multimodal |text-based )?"
    r"(?:ai(?: (?:language )?model| assistant)?|artificial intelligence"
    r"|(?:vision )?language model)\b"
)
_SHOWN_VIDEO = r"(?:video|clip|images?|frames?|content|files?)"
_NEGATED = r"(?:no|not|didn['’]t|wasn['’]t|weren['’]t|any)"
_GIVEN = r"(?:provided|attached|uploaded|included|shared)"
_REFUSALS = Phrases(
    re.compile(
        rf"(?:^|[.!?:\n] {{0,3}}|, (?:but )?)(?:"
        rf"(?:i['’]m|i am|we['’]re|we are) (?:(?:really|very|so|truly|just|only) )?"
        rf"(?:sorry,? (?:but )?(?:i|we|as|this|that|there)\b|unable to|not able to"
        rf"|not comfortable|afraid i (?:can|could)|{_AI})"
        rf"|(?:sorry|apologies|my apologies|i apologi[sz]e|unfortunately)\b[^.!?\n]{{0,40}}?"
        rf"\bi(?: {_CANNOT}|['’]m (?:unable|not able)| am (?:unable|not able)| {_DO_NOT}"
        rf"| must decline)"
        rf"|i {_CANNOT} (?:be able to|and will not|{_TO_DO})\b"
        rf"|i (?:must|have to|need to|respectfully) (?:respectfully )?(?:decline|refuse)\b"
        rf"|i {_DO_NOT} (?:have (?:access to|the (?:ability|capability) to)"
        rf"|(?:actually )?see (?:any|a|an|the) (?:attached |uploaded )?{_SHOWN_VIDEO})"
        rf"|(?:it (?:looks|seems|appears)|there) [^.!?\n]{{0,40}}?"
        rf"(?:\b{_NEGATED}\b[^.!?\n]{{0,20}}?\b{_SHOWN_VIDEO}|\b{_SHOWN_VIDEO}\b[^.!?\n]{{0,20}}?"
        rf"\b{_NEGATED})\b[^.!?\n]{{0,20}}?\b(?:{_GIVEN}|upload|come through|attach)\b"
        rf"|(?:no|the) {_SHOWN_VIDEO}(?: {_SHOWN_VIDEO})? (?:was|were|has been|have been) "
        rf"(?:not )?{_GIVEN}"
        rf"|(?:please|(?:could|can) you(?: please)?) (?:provide|upload|share|attach|send) "
        rf"(?:the|a|an|some|more|your|me)\b"
        rf"|(?:as|being) {_AI},? i\b|as {_AI},"
        rf"|i['’]d be (?:happy|glad) to (?:help|describe|caption|analy[sz]e)"
        rf"|(?:this|the) (?:content|request|video) (?:may |might |would )?violates?\b"
        rf")"
        rf"|^unable to (?:describe|provide|generate|process|caption|analy[sz]e|comply|assist)\b"
        rf"|^(?:很?抱歉|对不起|我无法|我不能|作为一个?(?:AI|人工智能)|没有(?:收到|看到|提供)|申し訳)",
        re.IGNORECASE,
    ),
    ("i'm", "i’m", "i am", "we're", "we’re", "we are", "sorry", "apolog", "unfortunately", "i can",
     "i could", "i won", "i will", "i must", "i do", "i have to", "i need to", "i respect", "i'd",
     "i’d", "provided", "attach", "upload", "included", "shared", "come through", "please ",
     "you ", " ai", "artificial", "language model", "violate", "unable to", "抱歉", "对不起", "我",
     "作为", "没有", "申し訳"),
)  # fmt: skip
_WHERE_REFUSED = 600

_INSTRUCTIONS = Phrases(
    re.compile(
        r"\b(?:in the style of the (?:examples?|previous|above)|(?:as|like) in the examples?"
        r"|following the examples?|(?:as|like) the examples? above|as (?:per|requested"
        r"|instructed)\b"
        r"(?: by| in)? ?(?:the |your )?(?:user|instructions?|prompt|request)"
        r"|(?:per|according to|based on|follow(?:ing)?) (?:the user['’]s|your|these) "
        r"(?:instructions?|guidelines|request|provided (?:frames|images|video))"
        r"|the user(?:['’]s)? (?:asks?|asked|wants?|wanted|input|request|query|prompt|is asking)"
        r"|(?:describe|caption|summari[sz]e) (?:this|the (?:following|given|provided)) "
        r"(?:video|clip|image|frames?|scene)"
        r"|(?:the|your|this) caption (?:should|must|will|needs to|has to)"
        r"|(?:do not|don['’]t) (?:describe|mention|include|use|start|begin|add|invent)\b"
        r"|(?:respond|reply|answer|output) (?:only|with only|in (?:json|english|one))\b"
        r"|your task is|you are an? (?:helpful |expert )?(?:assistant|captioner|ai)\b"
        r"|(?:video descriptive|imaginative video descriptive|modify an earlier) captions?"
        r"|(?:without|no) (?:any )?(?:introductory|opening) phrases?"
        r"|i will (?:now )?(?:describe|provide|write|start|create)|let me (?:describe|think|start)"
        r"|here(?:['’]s| is) (?:a|the|your|my) (?:[\w-]{1,20} ){0,3}(?:caption|description|prompt)"
        r"|let me know (?:if|whether)|i hope this|hope this helps|feel free to ask"
        r"|would you like me to"
        r"|word (?:count|limit)\b|\d{2,4} (?:words|tokens) or (?:less|fewer))",
        re.IGNORECASE,
    ),
    ("example", "instruct", "request", "guideline", "the user", "describe ", "caption", "summari",
     "do not", "don't", "don’t", "respond", "reply", "answer", "output", "your task", "you are",
     "phrase", "i will", "let me", "hope this", "feel free", "would you like", "here's", "here’s",
     "here is", "word", "tokens", "provided"),
)  # fmt: skip
# Beginnings of the examples that published captioning prompts contain. Captioners hand them back.
_EXAMPLES = Phrases(
    re.compile(
        r"a stylish woman walks down a tokyo street filled with warm glowing neon"
        r"|several giant wooly mammoths approach"
        r"|a movie trailer featuring the adventures of the 30 year old space man"
        r"|drone view of waves crashing against the rugged cliffs along big sur"
        r"|a gorgeously rendered papercraft world of a coral reef"
        r"|animated scene features a close-up of a short fluffy monster"
        r"|a radiant woman stands on a deserted beach, arms outstretched"
        r"|a determined man in athletic attire, including a blue long-sleeve shirt",
        re.IGNORECASE,
    ),
    ("tokyo", "mammoth", "space man", "big sur", "papercraft", "fluffy monster", "radiant woman",
     "determined man"),
)  # fmt: skip

_UNSEEN = (
    r"(?:text|people|persons?|humans?|audio|sounds?|dialogue|speech|music|subtitles?|captions?"
    r"|watermarks?|logos?|objects?|animals?|movement|motion|camera (?:movement|motion)|action"
    r"|characters?|faces?|other \w{1,20}|(?:visible|discernible|obvious|significant|apparent"
    r"|noticeable|additional|special|on-screen) [\w-]{1,20}(?: [\w-]{1,20})?)"
)
_ABSENCE = Phrases(
    re.compile(
        rf"\b(?:there (?:is|are|was|were)(?: also| absolutely)? (?:no|not any|neither)"
        rf"|there (?:is|are)n['’]t any|(?:with|and|has|have|contains?|shows?|featur(?:es|ing)) no "
        rf"{_UNSEEN}\b|no {_UNSEEN} (?:(?:is|are|was|were|can be) )?"
        rf"(?:visible|present|seen|shown|heard|audible|depicted|noticeable|discernible)"
        rf"|without (?:any|showing)\b (?!hesitation|effort|doubt)"
        rf"|(?:does|do)(?: not|n['’]t) (?:contain|show|include|feature|depict|appear|have)"
        rf"|(?:the|an) absence of|(?:not|n['’]t) (?:visible|shown|present|depicted|specified"
        rf"|mentioned)"
        rf"|cannot be (?:seen|heard|determined|identified))",
        re.IGNORECASE,
    ),
    ("no ", "not", "n't", "n’t", "neither", "without", "absence", "cannot"),
)  # fmt: skip

_ORDINAL = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last|final|next|previous"
    r"|initial|subsequent|middle|opening|closing|following|\d{1,3}(?:st|nd"
    r"|rd|th))"
)
_FRAMES = Phrases(
    re.compile(
        rf"\b{_ORDINAL} (?:(?:few|two|three|four|several|video) )?frames?\b(?! of (?:a|the) "
        r"(?:painting|film|comic|movie|picture))"
        r"|\bframes? (?:#|no\. ?|number )?\d{1,5}\b(?! ?(?:fps|frames))"
        r"|\bframe[- ]by[- ]frame\b|\b(?:across|between|over|throughout|in all|from) (?:the"
        r"|these|all)"
        r"(?: \w{1,12})? frames\b|\b(?:given|provided|sampled|input) (?:frames|images)\b"
        r"|\b(?:at|around) (?:the )?\d{1,3}(?:\.\d{1,3})?[- ]?(?:s|sec|seconds?)[- ](?:mark"
        r"|point)\b"
        r"|[\[(]\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,3})? ?(?:[-–—\])]|-->|to)"
        r"|\b\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d{1,3})? ?(?:-->|[-–—] ?0?\d:\d\d)"
        r"|\bat 0?0:\d\d\b",
        re.IGNORECASE,
    ),
    ("frame", " images", ":", " mark", "-mark", "-point", " point"),
)  # fmt: skip


def goes_on(rest: str) -> bool:
    """Return whether the sentence after an opening has a second verb whose subject is the video."""
    sentence = re.split(r"[.!?\n]", rest[:600], maxsplit=1)[0]
    return _GOES_ON.search(sentence) is not None


def refusal(caption: str) -> str | None:
    """Return the words with which a model refuses or says that it saw nothing, or None."""
    return _REFUSALS.find(caption[:_WHERE_REFUSED])


def instructions(caption: str) -> str | None:
    """Return the first words that belong to a prompt or to a chat, not to a caption, or None."""
    for anchored in (PREFACE, LABEL, JSON_SHELL):
        found = anchored.match(caption)
        if found:
            return found.group()
    for pattern in (THINKING, ANSWER_TAG) if "<" in caption or "◁" in caption else ():
        found = pattern.search(caption)
        if found:
            return found.group()
    return _EXAMPLES.find(caption) or _INSTRUCTIONS.find(caption)


def claim_of_absence(caption: str) -> str | None:
    """Return the first words that say what is not there, or None."""
    return _ABSENCE.find(caption)


def frame_reference(caption: str) -> str | None:
    """Return the first words that speak of numbered frames or of times in the video, or None."""
    return _FRAMES.find(caption)


def about_the_video(caption: str) -> str | None:
    """Return the first words that speak of the video instead of what is in it, or None."""
    opening = OPENING.match(caption)
    return opening.group().strip() if opening else _ABOUT_THE_VIDEO.find(caption)
