"""What is reported elsewhere: by readers of lists, the opening of files, the finding of plugins.

VP001 to VP025, VP103 to VP108 with VP121 and VP133, and VP901 to VP903.
"""

from __future__ import annotations

from videoprep.errors import Code
from videoprep.validators.protocol import Need, ReaderRule, Severity

_SHIFT = (
    "A caption that is paired with the wrong video teaches the model something false, and nothing "
    "in training ever shows it."
)
_LOST = "A sample that cannot be found is a sample the model never sees."
_REPLACE = "Replace or re-encode the file, or remove the sample."
_UNCHECKED = "A rule that does not run finds nothing: the dataset would look cleaner than it is."


class MissingList(ReaderRule):
    """The dataset's description itself has a hole."""

    code = Code.MISSING_LIST.value
    name = "missing-list"
    summary = "The caption and video files, or the columns of the table, are there."
    why = "Without them nothing else can be checked."
    example = "prompt.txt is called prompts.txt; the table's column is called clip."
    remedy = "Name them with `caption_column`, `video_column` and `dataset_file`, or rename them."


class UnequalCounts(ReaderRule):
    """Lines are paired by their number, so that one missing line shifts all after it."""

    code = Code.UNEQUAL_COUNTS.value
    name = "unequal-counts"
    summary = "The caption file and the video file have equally many lines."
    why = _SHIFT
    example = "prompt.txt has 99 lines and videos.txt has 100."
    remedy = "Find the line that is missing or too many, or delete blank ones at the end of a file."


class BlankLine(ReaderRule):
    """A blank line is never skipped: that would shift the lines after it."""

    code = Code.BLANK_LINE.value
    name = "blank-line"
    summary = "No line of the line files is blank."
    why = _SHIFT
    example = "A blank line at the end of prompt.txt, or between two captions."
    remedy = (
        "Write the missing entry, or delete the line, and its partner if the other file has one."
    )


class NotUtf8(ReaderRule):
    """Read with another encoding, the caption would be another text."""

    code = Code.NOT_UTF8.value
    name = "not-utf8"
    summary = "Lists, caption files and the names of files are UTF-8."
    why = "Guessed encodings turn letters into others, and the text encoder takes them as they are."
    example = "A CSV file saved by a spreadsheet as Windows-1252; a UTF-16 file from a notepad."
    remedy = "Convert the file with iconv; the finding names the encoding that it looks like."


class MissingVideo(ReaderRule):
    """The list names a video that is not there."""

    code = Code.MISSING_VIDEO.value
    name = "missing-video"
    summary = "Every video that is named exists."
    why = _LOST
    example = "videos/00017.mp4 was never downloaded; the path has backslashes or other case."
    remedy = "Correct the path, which is relative to the data root, or remove the sample."


class MissingMedia(ReaderRule):
    """A further file of a sample, such as its sound, does not exist."""

    code = Code.MISSING_MEDIA.value
    name = "missing-media"
    summary = "Every file that is named beside a video exists."
    why = _LOST
    example = "A column audio names sounds/00017.wav, which was never extracted."
    remedy = (
        "Correct the path, which is relative to the data root, or name no file: sound is then the "
        "video's own, and of other media the sample has none. If the column or the folder means "
        "something else, turn it off with `audio_column=''` or `roles={'control': ''}`."
    )


class SeveralMedia(ReaderRule):
    """A file under a video's name belongs to it if there is one such file, and one such video."""

    code = Code.SEVERAL_MEDIA.value
    name = "several-media"
    summary = "Of the files that go with a video by their names, there is one for each role."
    why = "The sample is skipped: to guess which file is meant might pair it with the wrong one."
    example = (
        "control/a.mp4 and control/a.png for videos/a.mp4; clip.wav and clip.flac beside clip.mp4; "
        "clip.wav beside clip.mp4 and clip.mov."
    )
    remedy = (
        "Keep one of the files, or name the one that is meant in a column of a table. Sound may be "
        "named after its video with the ending: clip.mp4.wav belongs to clip.mp4 alone; or take "
        "the videos' own with `audio_column=''`."
    )


class ConfigKey(ReaderRule):
    """What a trainer's config says and videoprep does not do, or what nobody does."""

    code = Code.CONFIG_KEY.value
    name = "config-key"
    summary = "Every key of a trainer's dataset config is honoured."
    why = "What is not honoured, or misspelt, is trained on otherwise than the config says."
    example = "frame_stried in musubi-tuner's TOML; flip_x in ai-toolkit's YAML."
    remedy = "Correct the key. If it is not honoured, see whether an option of videoprep does it."
    severity = Severity.WARNING


class DroppedInReview(ReaderRule):
    """A person's decision, which is kept in the caption journal and not in the dataset's files."""

    code = Code.DROPPED.value
    name = "dropped-in-review"
    summary = "The clip was not dropped in a review."
    why = "A dropped clip is skipped everywhere: it is neither planned nor encoded."
    example = "`videoprep review` was run, and its reviewer dropped the clip."
    remedy = "Take the decision back with `videoprep review`, if the clip is to be used."
    severity = Severity.NOTE


class OutsideRoot(ReaderRule):
    """Lists from strangers must not lead to any file of the machine."""

    code = Code.OUTSIDE_ROOT.value
    name = "outside-root"
    summary = "Lists, videos and other media lie inside the data root, links followed."
    why = "A dataset may come from a stranger, and must not make other files of yours part of it."
    example = "../other/a.mp4, /etc/passwd, a link to a home folder, https://example.org/a.mp4"
    remedy = "Move the file inside, or set `allow_outside_root`. Download addresses."


class NotAFile(ReaderRule):
    """What is named is not a regular file."""

    code = Code.NOT_A_FILE.value
    name = "not-a-file"
    summary = "Every video or other medium that is named is a regular file."
    why = "Reading a FIFO or a device may never end."
    example = "The path of a folder, a FIFO, a device, or a loop of links."
    remedy = "Name a file."


class MalformedRow(ReaderRule):
    """Where a row begins and ends, or what belongs to which column, is in doubt."""

    code = Code.MALFORMED_ROW.value
    name = "malformed-row"
    summary = "Every row has the header's number of cells, and every quote is closed."
    why = _SHIFT
    example = 'a.mp4,A cat, sleeping   ·   a.mp4,"A cat   ·   a line of 200,000 characters'
    remedy = "Put captions that hold commas or line ends into double quotes, and double a quote."


class EmptyVideo(ReaderRule):
    """A caption without a video."""

    code = Code.EMPTY_VIDEO.value
    name = "empty-video"
    summary = "Every row of a table names a video."
    why = _LOST
    example = ",A cat sleeps on a sofa."
    remedy = "Write the video's path, or delete the row."


class ByteOrderMark(ReaderRule):
    """Harmless here, but other programs read it as part of the first caption or column."""

    code = Code.BYTE_ORDER_MARK.value
    name = "byte-order-mark"
    severity = Severity.NOTE
    summary = "The lists do not start with a byte order mark."
    why = "Other programs take it for a part of the first caption or of the first column's name."
    example = "A file saved as “UTF-8 with BOM”."
    remedy = "Save the file as UTF-8 without a byte order mark."


class LineEnds(ReaderRule):
    """Carriage returns where the end of a line is in doubt."""

    code = Code.LINE_ENDS.value
    name = "line-ends"
    summary = "All lines end alike, in a newline or in CR LF."
    why = _SHIFT
    example = "Lines that end in CR alone (an error); some in CR LF and others in LF (a warning)."
    remedy = "Convert the file; the finding gives the command."


class UnusualSeparator(ReaderRule):
    """Some programs end a line here, so that their pairs are not those of this one."""

    code = Code.UNUSUAL_SEPARATOR.value
    name = "unusual-separator"
    severity = Severity.WARNING
    summary = "No line holds a character at which other programs end a line."
    why = "Python's splitlines, for one, cuts the caption in two there and shifts all after it."
    example = "A line separator (U+2028) pasted from a web page; a vertical tab; NEL."
    remedy = "Replace it with a space; if two lines were meant, separate them by a newline."


class NulByte(ReaderRule):
    """Text holds none: the file is damaged, or no text."""

    code = Code.NUL_BYTE.value
    name = "nul-byte"
    summary = "The lists hold no NUL bytes."
    why = "They are what a crash of the machine leaves of lines that were being written."
    example = "A run of NUL bytes at the end of a file."
    remedy = "Write the lines anew."


class NotATable(ReaderRule):
    """The file has a table's ending and something else in it."""

    code = Code.NOT_A_TABLE.value
    name = "not-a-table"
    summary = "A list holds what its ending stands for: a CSV table, an array of objects."
    why = "Read as it is, it would give no samples, or wrong ones."
    example = "Semicolons instead of commas, a spreadsheet or web page called .csv, no header row."
    remedy = "Give the file its right ending, or export it as CSV in UTF-8, with a header row."


class DuplicateColumn(ReaderRule):
    """Which of the two is meant cannot be known."""

    code = Code.DUPLICATE_COLUMN.value
    name = "duplicate-column"
    summary = "No two columns have one name."
    why = "Another program may take the other one."
    example = "video,caption,caption"
    remedy = "Give each column a name of its own."


class EmptyDataset(ReaderRule):
    """There is nothing to check."""

    code = Code.EMPTY_DATASET.value
    name = "empty-dataset"
    summary = "The dataset has at least one sample."
    why = "An empty list is rarely meant."
    example = "A table that is a header row alone."
    remedy = "Write at least one caption and video."


class BadValue(ReaderRule):
    """What a cell means must not be guessed: the sample would be another one."""

    code = Code.BAD_VALUE.value
    name = "bad-value"
    summary = "Every cell and every caption file holds what it is for, or nothing."
    why = "A time range that is read wrongly pairs the caption with another part of the video."
    example = "A start of 1:75, an end before the start, an object as a caption, 50 MB of caption."
    remedy = "Correct the cell, or leave it empty. Turn a column off with `split_column=''`."


class PassedOverFiles(ReaderRule):
    """Files in the dataset's folder that no sample is made of; every one is counted."""

    code = Code.PASSED_OVER.value
    name = "passed-over"
    severity = Severity.NOTE
    summary = "Nothing in the dataset's folder is passed over that may be meant."
    why = "A clip that lies there and is not read is missing in training, and nothing shows it."
    example = "Images without a caption, folders linked from elsewhere, a caption without a video."
    remedy = "Nothing, unless the files are meant to be part of the dataset."


class UnusedColumn(ReaderRule):
    """A column whose name says that it matters, and from which nothing is read."""

    code = Code.UNUSED_COLUMN.value
    name = "unused-column"
    severity = Severity.WARNING
    summary = "No column that looks meaningful is unused: times, captions, sound, control media."
    why = "A time range that is not read pairs each caption with the beginning of the film."
    example = "from_sec and to_sec beside the caption; a second caption; a control video."
    remedy = "Name the column that is meant, for instance with `start_column`, or ignore this rule."


class ConvertedList(ReaderRule):
    """Earlier versions of ``videoprep init`` wrote a list of what they found, which goes stale."""

    code = Code.CONVERTED_LIST.value
    name = "converted-list"
    severity = Severity.WARNING
    summary = "The dataset's own files are read, not a list that was once made of them."
    why = "A corrected caption or an added clip is not in the list, and is never trained on."
    example = "A videoprep.yaml that names videoprep-list.csv."
    remedy = "Run `videoprep init` again, which names your own files, and delete the list."


class _OpeningRule(ReaderRule):
    needs = frozenset({Need.HEADER})
    remedy = _REPLACE
    why = "It cannot be encoded; found now, it does not stop a job of days."


class Unreadable(_OpeningRule):
    """FFmpeg cannot make anything of it."""

    code = Code.UNREADABLE.value
    name = "unreadable"
    summary = "The file opens as a video, and its first frame decodes."
    example = "A web page, a Git LFS pointer or a playlist called .mp4; an empty file."


class NoVideoStream(_OpeningRule):
    """There is sound, or only cover art."""

    code = Code.NO_VIDEO_STREAM.value
    name = "no-video-stream"
    summary = "The file holds a video stream; cover art is none."
    example = "An audio file, with or without a picture of its album."


class NoSound(_OpeningRule):
    """A file that a list names for its sound, or that lies beside its video, has none."""

    code = Code.NO_SOUND.value
    name = "no-sound"
    summary = "A file that is named for its sound holds an audio stream."
    why = "What was meant to be heard with the clip would be missing in training."
    example = "A column audio that names the silent video itself."
    remedy = "Use another file, or none: the sound is then the video's own."


class TimeLimit(_OpeningRule):
    """Opening it was stopped."""

    code = Code.TIME_LIMIT.value
    name = "time-limit"
    summary = "The file opens within the time limit, which grows with its size."
    example = "A file made to keep a decoder busy for hours; a disk that hangs."
    remedy = (
        "Re-encode the file or remove the sample; where the disk is slow, raise `limits.seconds`."
    )


class DecoderCrash(_OpeningRule):
    """The process that opened it ended; it was tried twice."""

    code = Code.DECODER_CRASH.value
    name = "decoder-crash"
    summary = "Opening the file does not crash the decoder."
    example = "A damaged or malicious file that makes a decoder read outside its memory."


class MemoryLimit(_OpeningRule):
    """The process that opened it came to its memory limit."""

    code = Code.MEMORY_LIMIT.value
    name = "memory-limit"
    summary = "The file opens within the memory limit."
    example = "A picture of gigapixels in a few kilobytes."
    remedy = "Re-encode the file, raise `limits.memory_mib`, or remove the sample."


class TooLarge(_OpeningRule):
    """No bucket takes it, and a picture of that size may be a decompression bomb."""

    code = Code.TOO_LARGE.value
    name = "too-large"
    summary = "Width and height are 8192 pixels at most."
    example = "A header that says 16384×8192; a GIF of 65535×65535 in a few bytes."
    remedy = "Scale the video down; the finding gives the command."


class PluginBroken(ReaderRule):
    """It cannot be imported, or is no rule."""

    code = Code.PLUGIN_BROKEN.value
    name = "plugin-broken"
    summary = "Every rule in the entry-point group videoprep.validators loads."
    why = _UNCHECKED
    example = "A plugin that imports a package which is not installed."
    remedy = "Update or uninstall the plugin; the finding names it."


class PluginCollides(ReaderRule):
    """Two rules with one code could not be told apart; the first one is used."""

    code = Code.PLUGIN_COLLIDES.value
    name = "plugin-collides"
    summary = "Every rule has a code and a name of its own."
    why = _UNCHECKED
    example = "A plugin whose rule is called VP101, or two plugins with a rule ACME001."
    remedy = "Uninstall one of them, or ask its author for another code."


class RuleFailed(ReaderRule):
    """The rule raised an exception on this sample, or yielded something that is no finding."""

    code = Code.RULE_FAILED.value
    name = "rule-failed"
    summary = "Every rule runs without an exception."
    why = _UNCHECKED
    example = "A plugin that divides by the number of words of an empty caption."
    remedy = "Report it to the rule's author; leave the rule out with `ignore`."
