"""Prompts for common jobs, which hosts offer to their users by name."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template

from attrs import frozen
from mcp_types import GetPromptResult, PromptArgument, PromptMessage, TextContent
from mcp_types import Prompt as Declaration

from sogni.errors import ValidationError


@frozen(kw_only=True)
class Prompt:
    """A prompt.

    Attributes:
        name: Its name.
        title: Its name for display.
        text: Its purpose.
        required: Descriptions of the required arguments, by name.
        optional: Descriptions and defaults of the optional arguments, by name.
        template: The prompt, with `$argument` for each.
    """

    name: str
    title: str
    text: str
    required: Mapping[str, str]
    optional: Mapping[str, tuple[str, str]]
    template: str

    def declaration(self) -> Declaration:
        """Return the prompt in the form of the protocol."""
        required = [PromptArgument(name=name, description=text, required=True) for name, text in self.required.items()]
        optional = [
            PromptArgument(name=name, description=f"{text} Default: {default}.", required=False)
            for name, (text, default) in self.optional.items()
        ]
        return Declaration(name=self.name, title=self.title, description=self.text, arguments=[*required, *optional])

    def fill(self, given: Mapping[str, str]) -> GetPromptResult:
        """Return the prompt with these arguments.

        Raises:
            ValidationError: An argument is missing or unknown.
        """
        for name in self.required:
            if not given.get(name, "").strip():
                raise ValidationError(f"{name} is required", field=name)
        for name in given:
            if name not in self.required and name not in self.optional:
                known = ", ".join([*self.required, *self.optional])
                raise ValidationError(f"there is no argument {name[:100]}: {known}", field=name)
        defaults = {name: default for name, (_, default) in self.optional.items()}
        # Hosts send an empty string for a field that was left empty.
        text = Template(self.template).substitute(defaults | {name: text for name, text in given.items() if text})
        return GetPromptResult(
            description=self.text, messages=[PromptMessage(role="user", content=TextContent(text=text))]
        )


PROMPTS: Mapping[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="illustrate",
            title="Illustrate an article",
            text="Make images for an article, a chapter or other text.",
            required={"text": "The text."},
            optional={"count": ("Number of images.", "3"), "style": ("Style of all images.", "one that fits the text")},
            template="Read the text below and choose $count moments or ideas in it that an image makes clearer. Write "
            "a prompt for each that names subject, setting, light and composition; the style of all is: $style. Show "
            "me the prompts and what they cost (estimate), then make the images with generate_image, and tell me "
            "where each belongs.\n\n$text",
        ),
        Prompt(
            name="edit_photo",
            title="Edit a photo",
            text="Change something in a photo and keep the rest.",
            required={"image": "Path of the photo.", "change": "What to change."},
            optional={},
            template="Edit the photo $image with edit_image: $change. Keep everything else as it is, above all faces "
            "and text. Look at the result. If it misses what was asked for, try once more with a clearer prompt, then "
            "show me both.",
        ),
        Prompt(
            name="animate_image",
            title="Bring an image to life",
            text="Make a short video that starts with an image.",
            required={"image": "Path of the image, or the URI of a result."},
            optional={"motion": ("What moves.", "whatever would move in reality"), "seconds": ("Length.", "5")},
            template="Make a video of $seconds seconds that starts with the image $image, with generate_video. What "
            "moves: $motion. Describe motion and camera in the prompt, not what the image shows anyway. Estimate the "
            "cost first and tell me. If the tool returns before the video is ready, wait for it with get_project.",
        ),
        Prompt(
            name="storyboard",
            title="Storyboard to video",
            text="Plan a story as scenes, make an image for each, then a video from each image, and music.",
            required={"story": "The story, in a sentence or more."},
            optional={"scenes": ("Number of scenes.", "4")},
            template="Plan this story as $scenes scenes: $story\n\nFor each scene write an image prompt and a motion "
            "prompt. Describe recurring characters with the same words each time. Estimate everything first and ask me "
            "before you spend anything. Then make the images (generate_image), show them to me, make a video from each "
            "(generate_video with image set to the URI of the result), and music for the whole (generate_music).",
        ),
        Prompt(
            name="song",
            title="Write and record a song",
            text="Write lyrics and make a song with them.",
            required={"topic": "What the song is about."},
            optional={"style": ("Genre, instruments, mood.", "one that fits"), "seconds": ("Length.", "90")},
            template="Write a song about $topic: lyrics with [verse] and [chorus] marks that can be sung in $seconds "
            "seconds. Show them to me. Then make it with generate_music, with the lyrics, a duration of $seconds, and "
            "a prompt that describes the style: $style.",
        ),
        Prompt(
            name="narrate",
            title="Read text aloud",
            text="Record a reading of some text.",
            required={"text": "The text."},
            optional={"voice": ("Voice, or a description of one.", "one that fits the text")},
            template="Make a recording of the text below with generate_speech. Voice: $voice. If that is not one of "
            "the model's voices (get_model), use voice_description. Split text of more than 1,500 characters at "
            "paragraphs, and keep the voice the same.\n\n$text",
        ),
    )
}
"""All prompts, by name."""
